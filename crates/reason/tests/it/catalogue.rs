use std::collections::HashSet;

use portcullis_reason::{
    BearerError, CloseCode, CloseProfile, Fault, MAX_CLOSE_REASON, Problem, Reason, Rejection,
};

#[test]
fn identifiers_are_unique_and_round_trip() {
    let mut seen = HashSet::new();
    for &reason in Reason::ALL {
        let id = reason.id();
        assert!(seen.insert(id), "{id} is there twice");
        assert!(id.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{id}");
        assert_eq!(id.parse(), Ok(reason));
        assert_eq!(id.to_ascii_lowercase().replace('_', "-").parse(), Ok(reason));
        assert_eq!(reason.to_string(), id);
        assert_eq!(serde_json::to_value(reason).unwrap(), id);
        assert_eq!(serde_json::from_value::<Reason>(id.into()).unwrap(), reason);
    }
    for text in ["", "NO", "NO_TOKEN_", " NO_TOKEN", "NO TOKEN"] {
        assert!(text.parse::<Reason>().is_err(), "{text:?}");
    }
}

/// The whole table, so that a change of any number shows in review.
#[test]
fn table() {
    let mut table = format!(
        "{:<22} {:>4} {:<19} {:>8} {:>6} {:>6} {:>5}  {:<12} {:<8} {:<8} shown as\n",
        "reason", "http", "bearer", "standard", "server", "strict", "app", "retry", "fault", "severity"
    );
    for &reason in Reason::ALL {
        let number = |n: Option<u16>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let code = |profile| number(reason.close_code(profile));
        let line = format!(
            "{:<22} {:>4} {:<19} {:>8} {:>6} {:>6} {:>5}  {:<12} {:<8} {:<8} {}",
            reason.id(),
            number(reason.status()),
            reason.bearer_error().map_or("-", BearerError::as_str),
            code(CloseProfile::Standard),
            code(CloseProfile::ServerError),
            code(CloseProfile::StrictProtocol),
            code(CloseProfile::Application),
            reason.retry().as_str(),
            reason.fault().as_str(),
            reason.severity().as_str(),
            if reason.shown_as() == reason { "" } else { reason.shown_as().id() },
        );
        table += line.trim_end();
        table += "\n";
    }
    insta::assert_snapshot!(table);
}

/// The numbers of docs/reasons, written out again: they are a contract, and the snapshot above is too easily accepted.
#[test]
fn the_numbers_are_a_contract() {
    use Reason as R;
    for (reasons, status, close) in [
        (&[R::BadUpgrade][..], Some(400), None),
        (&[R::MethodNotAllowed], Some(405), None),
        (&[R::UnsupportedVersion], Some(426), None),
        (&[R::UnknownMode], Some(404), None),
        (&[R::NoToken, R::ProtocolMismatch, R::TokenMalformed, R::TokenTooLarge], Some(401), Some(1008)),
        (&[R::AmbiguousCredentials], Some(400), Some(1008)),
        (&[R::SignatureInvalid, R::UnknownKey, R::AlgorithmNotAllowed], Some(401), Some(1008)),
        (&[R::TokenExpired, R::NotYetValid, R::IssuerMismatch, R::AudienceMismatch], Some(401), Some(1008)),
        (&[R::ClaimMissing, R::TokenRevoked], Some(401), Some(1008)),
        (&[R::OriginNotAllowed, R::InsufficientScope], Some(403), Some(1008)),
        (&[R::NoCommonSubprotocol], Some(400), Some(1002)),
        (&[R::RequestTooLarge], Some(431), None),
        (&[R::RateLimited, R::TooManyConnections], Some(429), Some(1008)),
        (&[R::AuthUnavailable], Some(503), Some(1011)),
        (&[R::NotReady, R::Draining], Some(503), Some(1012)),
        (&[R::SlowConsumer], None, Some(1013)),
        (&[R::HeartbeatTimeout], None, Some(1001)),
        (&[R::MessageTooBig], None, Some(1009)),
        (&[R::UnsupportedData], None, Some(1003)),
        (&[R::Internal], Some(500), Some(1011)),
    ] {
        for reason in reasons {
            assert_eq!(
                (reason.status(), reason.close_code(CloseProfile::Standard)),
                (status, close),
                "{reason}"
            );
        }
    }
}

#[test]
fn every_close_code_may_be_sent_and_fits_its_frame() {
    for &reason in Reason::ALL {
        for &profile in CloseProfile::ALL {
            let code = reason.close_code(profile);
            assert_eq!(
                code.is_some(),
                reason.close_code(CloseProfile::Standard).is_some(),
                "{reason} {profile:?}"
            );
            if let Some(code) = code {
                assert!(CloseCode(code).may_be_sent(), "{reason} {profile:?}: {code}");
            }
        }
        // The text of a close frame starts with the identifier and the title follows.
        assert!(reason.id().len() + 2 + reason.title().len() <= MAX_CLOSE_REASON, "{reason}");
    }
}

/// Promise 3: a client's mistake is never our failure.
#[test]
fn a_clients_mistake_is_never_1011_nor_5xx() {
    for &reason in Reason::ALL {
        let ours = reason.fault() != Fault::Client;
        if reason.close_code(CloseProfile::Standard) == Some(1011) {
            assert!(ours, "{reason}: 1011 means our fault alone");
        }
        if let Some(status) = reason.status() {
            assert_eq!(status >= 500, ours, "{reason}: {status}");
            assert!((400..600).contains(&status), "{reason}: {status}");
        }
        let problem_status = Problem::new(&Rejection::from(reason), "").status;
        assert_eq!(problem_status >= 500, ours, "{reason}: {problem_status} without a status of its own");
    }
}

#[test]
fn the_profiles_differ_where_they_say() {
    for &reason in Reason::ALL {
        let code = |profile| reason.close_code(profile);
        if reason.is_authentication() {
            assert_eq!(code(CloseProfile::ServerError), Some(1011), "{reason}");
            let strict = if reason == Reason::NoToken { 1002 } else { 1008 };
            assert_eq!(code(CloseProfile::StrictProtocol), Some(strict), "{reason}");
        } else {
            assert_eq!(code(CloseProfile::ServerError), code(CloseProfile::Standard), "{reason}");
            assert_eq!(code(CloseProfile::StrictProtocol), code(CloseProfile::Standard), "{reason}");
        }
        if let Some(application) = code(CloseProfile::Application) {
            let later =
                matches!(reason.retry(), portcullis_reason::Retry::Backoff | portcullis_reason::Retry::Now);
            // A token that is not valid yet becomes valid, and is still the client's to change: clocks, most often.
            let expected = if later && reason != Reason::NotYetValid { 4500..=4599 } else { 4400..=4499 };
            assert!(expected.contains(&application), "{reason}: {application}");
        }
    }
    for &profile in CloseProfile::ALL {
        assert_eq!(serde_json::to_value(profile).unwrap(), profile.as_str());
    }
}

/// RFC 6750 §3.1: `invalid_request` is a 400 and `insufficient_scope` a 403; a request without credentials gets a
/// challenge without an error; every other 401 says `invalid_token`.
#[test]
fn challenges_follow_rfc_6750() {
    for &reason in Reason::ALL {
        match (reason.status(), reason.bearer_error()) {
            (Some(401), None) => assert!(matches!(reason, Reason::NoToken | Reason::LoginFailed), "{reason}"),
            // The credential stands in a place where none belongs: the request is at fault. The status is our own.
            (Some(401), Some(BearerError::InvalidRequest)) => assert_eq!(reason, Reason::ProtocolMismatch),
            (Some(401), Some(error)) => assert_eq!(error, BearerError::InvalidToken, "{reason}"),
            (Some(400), Some(error)) => assert_eq!(error, BearerError::InvalidRequest, "{reason}"),
            (Some(403), Some(error)) => assert_eq!(error, BearerError::InsufficientScope, "{reason}"),
            (_, error) => assert_eq!(error, None, "{reason}"),
        }
    }
}

#[test]
fn strangers_cannot_tell_an_unknown_key_from_a_bad_signature() {
    let problem =
        |reason| serde_json::to_value(Problem::new(&Rejection::new(reason, "for the log"), "id")).unwrap();
    let unknown = problem(Reason::UnknownKey);
    assert_eq!(unknown, problem(Reason::SignatureInvalid));
    assert!(!unknown.to_string().contains("for the log"));
    for &profile in CloseProfile::ALL {
        assert_eq!(Reason::UnknownKey.close_code(profile), Reason::SignatureInvalid.close_code(profile));
    }
}

#[test]
fn problem_document() {
    let rejection =
        Rejection::new(Reason::NoToken, "no credential").with_hint("`jwt.` was not among the 2 elements");
    insta::assert_json_snapshot!(Problem::new(&rejection, "01ABC"));
}
