//! What a connection that works looks like, found out before anything else.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use portcullis_dial::Response;
use serde::Serialize;

use crate::{
    admission::Admission,
    form::{Form, FormKind},
    good::Good,
    outcome::Outcome,
    probe::{Probe, Shared},
};

/// One way that was tried, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Tried {
    /// The form.
    pub form: String,
    /// The outcome.
    pub outcome: String,
}

/// What came of the attempts, one line for each outcome with the forms that had it. Forms that all fared alike without an
/// `Origin` are named once.
pub(crate) fn by_outcome<'t>(tried: impl Iterator<Item = &'t Tried>) -> Vec<String> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for Tried { form, outcome } in tried {
        match groups.iter_mut().find(|(known, _)| known == outcome) {
            Some((_, forms)) => forms.push(form),
            None => groups.push((outcome, vec![form])),
        }
    }
    let line = |(outcome, forms): (&str, Vec<&str>)| {
        let (with, without) =
            forms.split_at(forms.iter().filter(|form| !form.ends_with(WITHOUT_ORIGIN)).count());
        let alike = without.iter().map(|form| form.trim_end_matches(WITHOUT_ORIGIN)).eq(with.iter().copied());
        if alike {
            format!("{outcome}: {} (the same without Origin)", with.join("; "))
        } else {
            format!("{outcome}: {}", forms.join("; "))
        }
    };
    groups.into_iter().map(line).collect()
}

/// What the search came to.
pub(crate) struct Search {
    pub(crate) good: Option<Good>,
    pub(crate) tried: Vec<Tried>,
    /// What somebody without a token gets.
    pub(crate) anonymous: Option<Admission>,
    /// Whether the form was told, and not found by trying.
    pub(crate) told: bool,
    /// Where the server takes the token from, if not from where it was told to be.
    pub(crate) elsewhere: Option<Form>,
    /// When the given token ended, if it has.
    pub(crate) expired: Option<u64>,
    /// Any answer that was seen, for recognising the framework.
    pub(crate) seen: Option<Response>,
}

/// Looks for a connection that works.
pub(crate) async fn search(shared: &Arc<Shared>, kinds: &[FormKind]) -> Result<Search, Outcome> {
    let probe = Probe::new(Arc::clone(shared));
    let usual = FormKind::usual();
    let candidates = |kinds: &[FormKind]| -> Vec<Form> {
        kinds.iter().flat_map(|kind| kind.candidates(&shared.profile.protocol)).collect()
    };
    let forms = candidates(if kinds.is_empty() { &usual } else { kinds });
    let own = shared.origin.clone().unwrap_or_else(|| shared.target.origin());
    let plain = forms[0].apply_nothing(probe.request().set("Origin", &own));
    let anonymous = probe.attempt(NO_TOKEN, &plain).await?;
    let mut found = Search {
        good: None,
        tried: Vec::new(),
        anonymous: None,
        told: !kinds.is_empty(),
        elsewhere: None,
        expired: shared.mint.expired(),
        seen: None,
    };
    if let Admission::Refused(response) | Admission::Admitted { response, .. } = &anonymous {
        found.seen = Some(response.clone());
    }
    found.tried.push(Tried { form: NO_TOKEN.to_owned(), outcome: format!("{anonymous:#}") });
    let open = anonymous.is_admitted();
    match shared.mint.good() {
        Some(token) => {
            for origin in [Some(own.clone()), None] {
                let works = try_forms(&probe, &forms, &token, origin.as_deref(), &mut found).await?;
                if let Some((form, response, texts)) = works.first().cloned() {
                    let forms = works.into_iter().map(|(form, ..)| form).collect();
                    let answers = shapes(&probe, &texts);
                    let minted = Ok(());
                    let handshakes = Vec::new();
                    found.good =
                        Some(Good { form, forms, origin, response, answers, open, minted, handshakes });
                    break;
                }
            }
            if found.good.is_none() && !kinds.is_empty() {
                let works = try_forms(&probe, &candidates(&usual), &token, Some(&own), &mut found).await?;
                found.elsewhere = works.into_iter().next().map(|(form, ..)| form);
            }
        }
        // Nothing to send, and nothing needed.
        None => {
            if let Admission::Admitted { response, texts } = &anonymous {
                found.good = Some(Good {
                    form: forms[0].clone(),
                    forms: Vec::new(),
                    origin: Some(own),
                    response: response.clone(),
                    answers: shapes(&probe, texts),
                    open,
                    minted: Ok(()),
                    handshakes: Vec::new(),
                });
            }
        }
    }
    found.anonymous = Some(anonymous);
    if let Some(good) = &mut found.good {
        // A refusal that the application wrote itself often lacks what the framework says of itself.
        let named = |response: &Response| response.field("Server").is_some();
        found.seen = found.seen.take().filter(named).or_else(|| Some(good.response.clone()));
        complete(shared, &probe, good).await?;
    }
    Ok(found)
}

/// Tries every form at once; gives those that work, in their order.
async fn try_forms(
    probe: &Probe,
    forms: &[Form],
    token: &str,
    origin: Option<&str>,
    found: &mut Search,
) -> Result<Vec<(Form, Response, Vec<String>)>, Outcome> {
    let with_origin = |form: &Form| {
        let request = form.apply(probe.request(), token);
        origin.map_or_else(|| request.clone(), |origin| request.clone().set("Origin", origin))
    };
    let attempts = forms.iter().map(|form| {
        let request = with_origin(form);
        async move { probe.attempt(&form.to_string(), &request).await }
    });
    let outcomes: Vec<_> = stream::iter(attempts).buffered(4).collect().await;
    let mut works = Vec::new();
    for (form, outcome) in forms.iter().zip(outcomes) {
        let outcome = outcome?;
        let name = if origin.is_some() { form.to_string() } else { format!("{form}{WITHOUT_ORIGIN}") };
        found.tried.push(Tried { form: name, outcome: format!("{outcome:#}") });
        let refused_inside = probe.profile().error.as_deref().is_some_and(|error| {
            outcome.texts().iter().any(|text| probe.profile().kind(text).as_deref() == Some(error))
        });
        if let Admission::Admitted { response, texts } = outcome
            && !refused_inside
        {
            works.push((form.clone(), response, texts));
        }
    }
    Ok(works)
}

/// What only can be found out once a connection works.
async fn complete(shared: &Arc<Shared>, probe: &Probe, good: &mut Good) -> Result<(), Outcome> {
    let request = |token: Option<&str>| {
        let request = probe.request();
        let request = match &good.origin {
            Some(origin) => request.set("Origin", origin),
            None => request,
        };
        token.map_or_else(|| request.clone(), |token| good.form.apply(request.clone(), token))
    };
    if shared.mint.has_key()
        && let Some(token) = shared.mint.minted(&serde_json::Value::Null)
    {
        let outcome = probe.attempt("a token made with the key", &request(Some(&token))).await?;
        if !outcome.is_admitted() {
            good.minted = Err(format!("a token made with the key is not taken: {outcome}"));
        }
    }
    let token = shared.mint.good();
    let mut handshakes = Vec::new();
    for _ in 0..HANDSHAKES {
        let (took, answer) = probe.timed("a handshake to measure", &request(token.as_deref())).await?;
        if answer.is_ok_and(|response| response.status == 101) {
            handshakes.push(took);
        }
    }
    good.handshakes = handshakes;
    Ok(())
}

/// What a server's messages are recognised by, but for those that refuse.
fn shapes(probe: &Probe, texts: &[String]) -> Vec<String> {
    let error = probe.profile().error.as_deref();
    let shapes = texts.iter().map(|text| probe.profile().shape(text));
    shapes.filter(|shape| Some(shape.as_str()) != error && shape != "error").collect()
}

/// The attempt without a credential.
pub(crate) const NO_TOKEN: &str = "no token";
const WITHOUT_ORIGIN: &str = ", without Origin";
const HANDSHAKES: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_grouped_by_what_came_of_them() {
        let tried = [
            ("Authorization", "TOKEN_EXPIRED"),
            ("?token", "NO_TOKEN"),
            ("Cookie", "NO_TOKEN"),
            ("Authorization, without Origin", "TOKEN_EXPIRED"),
            ("?token, without Origin", "NO_TOKEN"),
            ("Cookie, without Origin", "accepted"),
        ];
        let tried = tried.map(|(form, outcome)| Tried { form: form.to_owned(), outcome: outcome.to_owned() });
        assert_eq!(
            by_outcome(tried.iter()),
            [
                "TOKEN_EXPIRED: Authorization (the same without Origin)",
                "NO_TOKEN: ?token; Cookie; ?token, without Origin",
                "accepted: Cookie, without Origin",
            ]
        );
    }
}
