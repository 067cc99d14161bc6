//! Every case against a server that is right, and against one that is wrong in just the way that the case is about.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod bed;
mod forms;
mod hostile;
mod keys;
mod red;
mod reports;
mod secure;

use std::time::Duration;

use portcullis_check::{
    Finding, FormKind, Login, Options, Profile, Report, Selection, SigningKey, Target, Verdict,
};
use portcullis_token::{Secret, Signer};
use portcullis_units::Clock;
use serde_json::{Value, json};

use crate::bed::{Bed, NAME, SECRET};

/// Runs these cases against a bed.
fn check(bed: &Bed, only: &[&str]) -> Report {
    let only: Vec<String> = only.iter().map(|id| (*id).to_owned()).collect();
    let selection = Selection::new(&only, &[], &[], Vec::new()).unwrap();
    run(options(bed, selection))
}

fn run(options: Options) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(portcullis_check::run(options, &())).unwrap()
}

/// Everything at hand: a token, the secret, a place to log in.
fn options(bed: &Bed, selection: Selection) -> Options {
    let target = Target::parse(&format!("ws://{}/ws", bed.address)).unwrap();
    let login = Target { path: "/login".to_owned(), ..target.clone() };
    let claims = json!({ "sub": "ada", "iss": NAME, "aud": NAME });
    Options {
        target,
        tokens: vec![token("ada")],
        key: Some(SigningKey::shared(Secret::from(SECRET), None).unwrap()),
        kid: None,
        claims: claims.as_object().unwrap().clone(),
        login: Some(Login { target: login, body: "{}".to_owned(), field: "/access_token".to_owned() }),
        forms: vec![FormKind::Subprotocol, FormKind::Bearer],
        profile: Profile::named("portcullis").unwrap(),
        framework: None,
        origin: None,
        selection,
        connections: 16,
        pace: Duration::ZERO,
        timeout: Duration::from_secs(2),
        settle: Duration::from_millis(600),
        patience: Duration::from_millis(3500),
        leeway: Duration::ZERO,
        silence: Duration::from_secs(3),
        max_time: Duration::from_mins(2),
        ca: None,
    }
}

/// A good token.
fn token(subject: &str) -> String {
    let now = Clock::system().unix_seconds();
    sign(SECRET, &json!({ "sub": subject, "iss": NAME, "aud": NAME, "iat": now, "exp": now + 600 }))
}

fn sign(secret: &str, claims: &Value) -> String {
    Signer::hs256(None, &Secret::from(secret)).unwrap().sign(claims.as_object().unwrap())
}

fn finding<'r>(report: &'r Report, id: &str) -> &'r Finding {
    report.cases.iter().find(|finding| finding.id == id).unwrap_or_else(|| panic!("{id} was not run"))
}

/// What a person would want to see of a case that surprises.
fn shown(finding: &Finding) -> String {
    format!("{} {}: {}\n{:#?}", finding.verdict.name(), finding.id, finding.says, finding.evidence)
}

const fn is_red(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Fail | Verdict::Warn)
}
