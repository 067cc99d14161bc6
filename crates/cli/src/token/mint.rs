//! Making a token with the server's own key.

use std::process::ExitCode;

use portcullis_auth::Signing;
use portcullis_units::random;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::claim;
use crate::{
    args::MintArgs,
    config,
    data_dir::DataDir,
    keys,
    output::{self, Output, Usage},
    time,
};

#[derive(Serialize)]
struct Minted<'a> {
    token: &'a str,
    claims: &'a Map<String, Value>,
}

pub(super) fn run(args: &MintArgs, out: Output) -> anyhow::Result<ExitCode> {
    let config = config::load(args.place.config.clone(), args.place.overrides())?.config;
    let shared = keys::load(&config).map_err(keys::Faults)?.shared;
    let claims = claims(args, &config.auth, time::now())?;
    let data_dir = DataDir::open_or_create(&config.data_dir)?;
    if data_dir.created() {
        output::note(format_args!("made the data directory {}", data_dir.path().display()));
    }
    let token = Signing::open(data_dir.path(), shared.as_ref())?.sign(&claims);
    out.print(&Minted { token: &token, claims: &claims }, |_| token.clone())?;
    Ok(ExitCode::SUCCESS)
}

fn claims(args: &MintArgs, auth: &portcullis_auth::Options, now: u64) -> Result<Map<String, Value>, Usage> {
    let exp = args.ttl.from(now);
    let mut claims = Map::new();
    let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    set("iss", json!(auth.issuer));
    set("sub", json!(args.sub));
    set(
        "aud",
        match args.aud.as_slice() {
            [] => json!(auth.audience),
            [one] => json!(one),
            several => json!(several),
        },
    );
    // One that has expired was issued before that.
    set("iat", json!(now.min(exp.saturating_sub(1))));
    set("exp", json!(exp));
    set("jti", json!(random::hex::<16>()));
    let scope = args.scope.clone().unwrap_or_else(|| auth.scopes.join(" "));
    if !scope.is_empty() {
        set("scope", json!(scope));
    }
    for claim in &args.claims {
        let (name, value) = claim::parse(claim)?;
        set(&name, value);
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(ttl: &str, claims: &[&str]) -> MintArgs {
        MintArgs {
            place: crate::args::Place::default(),
            sub: "ada".into(),
            ttl: ttl.parse().unwrap(),
            claims: claims.iter().map(|claim| (*claim).to_owned()).collect(),
            aud: Vec::new(),
            scope: None,
        }
    }

    #[test]
    fn times_are_in_order_even_for_an_expired_one() {
        let auth = portcullis_auth::Options::default();
        for (ttl, exp) in [("1h", 103_600), ("-1h", 96_400)] {
            let claims = claims(&args(ttl, &[]), &auth, 100_000).unwrap();
            assert_eq!(claims["exp"], exp);
            assert!(claims["iat"].as_u64().unwrap() < exp && claims["iat"].as_u64().unwrap() <= 100_000);
        }
    }

    #[test]
    fn claims_are_json_or_text_and_replace() {
        let auth = portcullis_auth::Options::default();
        let claims = claims(
            &args("1h", &["tenant=acme", "level=3", "roles=[\"a\"]", "aud=other", "note=a=b"]),
            &auth,
            1,
        )
        .unwrap();
        assert_eq!(
            (&claims["tenant"], &claims["level"], &claims["roles"], &claims["aud"], &claims["note"]),
            (&json!("acme"), &json!(3), &json!(["a"]), &json!("other"), &json!("a=b"))
        );
        assert_eq!(claims["scope"], "chat");
        for bad in ["tenant", "=x"] {
            assert!(super::claims(&args("1h", &[bad]), &auth, 1).is_err(), "{bad}");
        }
    }
}
