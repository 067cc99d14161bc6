//! Tokens that were altered, or made by somebody who must not.

use portcullis_units::random;
use serde_json::{Value, json};

use super::judge::{must_refuse, worst};
use crate::{
    mint::{altered, resubjected},
    outcome::{Found, Gravity, Outcome},
    probe::Probe,
};

/// A token that is derived from the good one; opaque tokens have no parts to alter.
async fn derived(probe: &Probe, what: &str, token: Option<String>) -> Found {
    let Some(token) = token else {
        return Ok(Outcome::not_applicable("the token is no JWT: it has no parts that could be altered"));
    };
    must_refuse(probe, what, &probe.with_token(&token)?).await
}

pub(super) async fn signature(probe: &Probe) -> Found {
    let token = probe.token()?;
    derived(probe, "another signature", altered(&token, 2)).await
}

pub(super) async fn payload(probe: &Probe) -> Found {
    let token = probe.token()?;
    derived(probe, "another subject under the old signature", resubjected(&token)).await
}

pub(super) async fn no_signature(probe: &Probe) -> Found {
    let token = probe.token()?;
    let Some((signed, _)) = token.rsplit_once('.') else { return derived(probe, "", None).await };
    let mut outcomes = Vec::new();
    for (what, token) in [("an empty signature", format!("{signed}.")), ("two parts", signed.to_owned())] {
        outcomes.push(derived(probe, what, Some(token)).await?);
    }
    Ok(worst(outcomes))
}

pub(super) async fn alg_none(probe: &Probe) -> Found {
    let mut outcomes = Vec::new();
    for alg in ["none", "None", "nOnE"] {
        let token = probe.mint().forged(&json!({ "alg": alg }), |_| Vec::new());
        outcomes.push(must_refuse(probe, &format!("`alg: {alg}`"), &probe.with_token(&token)?).await?);
    }
    Ok(worst(outcomes))
}

pub(super) async fn confusion(probe: &Probe) -> Found {
    let mut outcomes = Vec::new();
    for token in probe.mint().confused() {
        let what = if probe.mint().is_shared() {
            "the shared secret under another algorithm"
        } else {
            "HMAC with the public key as its secret"
        };
        outcomes.push(must_refuse(probe, what, &probe.with_token(&token)?).await?);
    }
    Ok(worst(outcomes))
}

pub(super) async fn foreign_key(probe: &Probe) -> Found {
    let token = probe.mint().with_secret(&random::bytes::<32>(), &Value::Null);
    must_refuse(probe, "signed with a random secret", &probe.with_token(&token)?).await
}

pub(super) async fn minted(probe: &Probe, what: &str, changes: Value) -> Found {
    let Some(token) = probe.mint().minted(&changes) else { return no_key() };
    must_refuse(probe, what, &probe.with_token(&token)?).await
}

pub(super) async fn claim(probe: &Probe, name: &str, value: &str) -> Found {
    if !probe.mint().has_claim(name) {
        return Ok(Outcome::not_applicable(format!("the server's tokens have no `{name}`")));
    }
    minted(probe, &format!("`{name}` of somebody else"), json!({ name: value })).await
}

pub(super) async fn crit(probe: &Probe) -> Found {
    let header = json!({ "crit": ["portcullis-check"], "portcullis-check": true });
    let Some(token) = probe.mint().minted_with(&header, &Value::Null) else { return no_key() };
    // Its signature is good: whoever takes it lets no stranger in.
    let outcome =
        must_refuse(probe, "`crit` with an extension nobody knows", &probe.with_token(&token)?).await?;
    Ok(outcome.grave(Gravity::Plain))
}

#[expect(clippy::unnecessary_wraps, reason = "the end of a case")]
fn no_key() -> Found {
    Ok(Outcome::inconclusive("there is no key to sign with"))
}
