//! Verifying a token as the server would.

use std::{fmt::Write as _, process::ExitCode};

use portcullis_auth::Signing;
use portcullis_reason::Rejection;
use portcullis_token::{Identity, Verifier};
use serde::Serialize;

use super::input::read;
use crate::{
    args::VerifyArgs,
    config::{self, settings::Config},
    data_dir::DataDir,
    exit::FINDINGS,
    keys::{self, Keys},
    output::{Output, Palette, warn, wrap},
    time::{self, Relative},
};

pub(super) fn run(args: &VerifyArgs, out: Output) -> anyhow::Result<ExitCode> {
    let loaded = config::load(args.place.config.clone(), args.place.overrides())?;
    let keys = keys(&loaded.config)?;
    let token = read(&args.token)?;
    let now = time::now();
    let policy = keys.policy.clone();
    match Verifier::new(keys.into_issuers(), policy, 0).verify(&token, now) {
        Ok(identity) => {
            let acceptance = Acceptance::new(&token, &identity);
            out.print(&acceptance, |palette| acceptance.text(now, palette))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(rejection) => {
            let refusal = Refusal::new(&rejection);
            out.print(&refusal, |palette| refusal.text(palette))?;
            Ok(ExitCode::from(FINDINGS))
        }
    }
}

/// The keys that the server would have: the configured ones and, if a server has run here, the auth service's.
fn keys(config: &Config) -> anyhow::Result<Keys> {
    let mut keys = keys::load(config).map_err(keys::Faults)?;
    for warning in &keys.warnings {
        warn(warning);
    }
    if config.auth.enabled && keys.shared.is_none() {
        // Looking makes nothing: no directory, no key.
        let data_dir = DataDir::open(&config.data_dir);
        match data_dir.map(|dir| dir.path().join("keys").is_dir().then_some(dir)) {
            Ok(Some(dir)) => {
                let signing = Signing::open(dir.path(), None)?;
                keys.add_auth(signing.jwks())?;
            }
            Ok(None) | Err(_) if !keys.is_empty() => {}
            Ok(None) => {
                anyhow::bail!("{} has no keys yet: start `portcullis serve` once", config.data_dir.display())
            }
            Err(error) => return Err(error),
        }
    }
    Ok(keys)
}

#[derive(Serialize)]
struct Acceptance<'a> {
    accepted: bool,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    scopes: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    fingerprint: String,
}

impl<'a> Acceptance<'a> {
    fn new(token: &str, identity: &'a Identity) -> Self {
        Self {
            accepted: true,
            subject: identity.subject(),
            issuer: identity.issuer(),
            scopes: identity.scopes().collect(),
            expires_at: identity.expires_at(),
            fingerprint: portcullis_token::fingerprint(token).to_string(),
        }
    }

    fn text(&self, now: u64, palette: Palette) -> String {
        let mut text = format!("{} the token is good\n", palette.green("✓"));
        let mut fact = |name: &str, value: &str| {
            let _ = writeln!(text, "  {} {value}", palette.dim(format_args!("{name:<11}")));
        };
        fact("subject", self.subject);
        fact("issuer", self.issuer.unwrap_or("–"));
        fact("scopes", if self.scopes.is_empty() { "–".to_owned() } else { self.scopes.join(" ") }.as_str());
        if let Some(moment) = self.expires_at {
            fact("expires", &Relative { moment, now }.to_string());
        }
        fact("fingerprint", &self.fingerprint);
        text
    }
}

/// A refusal with the detail that only the operator may see: whoever has the keys is the operator.
#[derive(Serialize)]
struct Refusal<'a> {
    accepted: bool,
    reason: &'static str,
    title: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    remedy: &'static str,
}

impl<'a> Refusal<'a> {
    fn new(rejection: &'a Rejection) -> Self {
        Self {
            accepted: false,
            reason: rejection.reason.id(),
            title: rejection.reason.title(),
            detail: &rejection.detail,
            hint: rejection.hint.as_deref(),
            remedy: rejection.reason.help().remedy(),
        }
    }

    fn text(&self, palette: Palette) -> String {
        let mut text = format!("{} {}: {}\n", palette.red("✗"), palette.bold(self.reason), self.title);
        for line in [Some(self.detail), self.hint].into_iter().flatten().filter(|line| !line.is_empty()) {
            let _ = writeln!(text, "  {}", wrap(line, 96, "  "));
        }
        let _ = writeln!(text, "\n{}", palette.green(wrap(self.remedy, 96, "")));
        let _ = writeln!(text, "{}", palette.dim(format_args!("More: portcullis explain {}", self.reason)));
        text
    }
}
