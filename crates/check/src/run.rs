//! Going through the cases.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use portcullis_dial::{Target, Trust, connector};
use serde_json::{Map, Value};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};

use crate::{
    baseline::{Search, search},
    case::{Case, Group, Need, OptIn},
    cause::causes,
    clock::CLOCK,
    evidence::{Redactor, printable},
    finding::Finding,
    form::FormKind,
    good::Good,
    login::Login,
    mint::{Mint, SigningKey},
    outcome::Outcome,
    probe::{Probe, Shared, Times},
    profile::Profile,
    remedy::Framework,
    report::{Report, Server},
    select::Selection,
};

/// Everything that a run is told.
#[derive(Debug)]
pub struct Options {
    /// Where.
    pub target: Target,
    /// Tokens of one or two users.
    pub tokens: Vec<String>,
    /// What further tokens are signed with.
    pub key: Option<SigningKey>,
    /// The `kid` of tokens that are made.
    pub kid: Option<String>,
    /// Claims of tokens that are made.
    pub claims: Map<String, Value>,
    /// Where to log in for a token.
    pub login: Option<Login>,
    /// Where the token goes; empty to find out.
    pub forms: Vec<FormKind>,
    /// The server's dialect.
    pub profile: Profile,
    /// What the server is built with; none to find out.
    pub framework: Option<Framework>,
    /// The origin of pages that may connect; none for the server's own.
    pub origin: Option<String>,
    /// Which cases.
    pub selection: Selection,
    /// Connections open at once.
    pub connections: usize,
    /// Time between two connections.
    pub pace: Duration,
    /// Time for an answer.
    pub timeout: Duration,
    /// Time after which an accepted connection counts as let in.
    pub settle: Duration,
    /// Time for a server to end what does not go on.
    pub patience: Duration,
    /// Time after `exp` that the server gives.
    pub leeway: Duration,
    /// Time of silence, where that is asked for.
    pub silence: Duration,
    /// Time for everything.
    pub max_time: Duration,
    /// Certificates (PEM) to trust beside the usual ones.
    pub ca: Option<Vec<u8>>,
}

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum CouldNotRun {
    /// No server, no TLS, no HTTP.
    #[error("{0}")]
    Unreachable(String),
    /// TLS cannot be set up.
    #[error("{0}")]
    Tls(String),
    /// The login that the tokens should come from fails.
    #[error("{0}")]
    Login(String),
}

/// Who hears how far it is.
pub trait Progress {
    /// One more of `total` cases came to a verdict.
    fn finished(&self, finding: &Finding, done: usize, total: usize);
}

/// Nobody.
impl Progress for () {
    fn finished(&self, _: &Finding, _: usize, _: usize) {}
}

/// Runs the selected cases and gives the report.
///
/// # Errors
/// [`CouldNotRun`] if the server cannot be reached at all.
pub async fn run(options: Options, progress: &(dyn Progress + Sync)) -> Result<Report, CouldNotRun> {
    let began = CLOCK.instant();
    let deadline = began + options.max_time;
    let Options { target, selection, framework, forms, .. } = &options;
    let (selection, framework, forms, target) =
        (selection.clone(), *framework, forms.clone(), target.clone());
    let shared = Arc::new(prepare(options).await?);
    let searching =
        timeout(deadline.saturating_duration_since(CLOCK.instant()), search(&shared, &forms)).await;
    let mut search = searching
        .map_err(|_| CouldNotRun::Unreachable(format!("{target} did not answer in time")))?
        .map_err(|outcome| CouldNotRun::Unreachable(outcome.says))?;
    for tried in &mut search.tried {
        tried.outcome = shared.redactor.clean(&printable(tried.outcome.as_bytes()));
    }
    if let Some(error) = no_http(&search) {
        return Err(CouldNotRun::Unreachable(format!("{target}: {error}")));
    }
    if let Some(good) = &search.good {
        shared.good.set(good.clone()).expect("it is set once");
    }
    let framework = framework.unwrap_or_else(|| {
        let seen = search.seen.as_ref();
        seen.map_or(Framework::Generic, |response| Framework::recognise(response, target.bare_path()))
    });
    let cases: Vec<&'static Case> = selection.cases().collect();
    let engine = Engine { shared: &shared, framework, deadline, progress, total: cases.len() };
    let cases = engine.all(cases).await;
    let server = Server {
        software: search
            .seen
            .as_ref()
            .and_then(|response| response.field("Server"))
            .map(|name| printable(name.as_bytes())),
        framework,
        profile: shared.profile.name.clone(),
        form: search.good.as_ref().map(|good| good.form.to_string()),
        origin: search.good.as_ref().and_then(|good| good.origin.clone()),
    };
    let root_causes = causes(&cases, &search, framework);
    Ok(Report::new(target.to_string(), server, cases, root_causes, search.tried, CLOCK.since(began)))
}

async fn prepare(options: Options) -> Result<Shared, CouldNotRun> {
    let Options { target, mut tokens, key, kid, claims, login, profile, origin, ca, .. } = options;
    let needs_tls = target.secure || login.as_ref().is_some_and(|login| login.target.secure);
    let trust = ca.map_or(Trust::Usual, Trust::With);
    let tls = needs_tls.then(|| connector(&trust)).transpose().map_err(CouldNotRun::Tls)?;
    let logged_in = match &login {
        Some(login) => Some(login.token(tls.as_ref(), options.timeout).await),
        None => None,
    };
    match &logged_in {
        Some(Ok(token)) if tokens.is_empty() => tokens.push(token.clone()),
        Some(Err(error)) if tokens.is_empty() && key.is_none() => {
            return Err(CouldNotRun::Login(error.clone()));
        }
        _ => {}
    }
    let redactor = Redactor::default();
    if let Some(Ok(token)) = &logged_in {
        redactor.learn(token);
    }
    let times = Times {
        timeout: options.timeout,
        settle: options.settle,
        patience: options.patience,
        pace: options.pace,
        leeway: options.leeway,
        silence: options.silence,
        connections: options.connections.max(2),
    };
    Ok(Shared {
        mint: Mint::new(key, tokens, kid.as_deref(), &claims, redactor.clone()),
        target,
        profile: Arc::new(profile),
        times,
        origin,
        good: OnceLock::new(),
        login: logged_in,
        redactor,
        places: Arc::new(Semaphore::new(times.connections)),
        next_connect: tokio::sync::Mutex::new(CLOCK.instant()),
        tls,
        leeway: OnceCell::new(),
    })
}

/// Whether what is there does not speak HTTP at all.
fn no_http(search: &Search) -> Option<String> {
    use crate::{admission::Admission, response::End};
    match &search.anonymous {
        Some(Admission::Unanswered(End::NotHttp)) => {
            Some("what answers there does not speak HTTP/1.1".to_owned())
        }
        _ => None,
    }
}

struct Engine<'a> {
    shared: &'a Arc<Shared>,
    framework: Framework,
    deadline: Instant,
    progress: &'a (dyn Progress + Sync),
    total: usize,
}

impl Engine<'_> {
    /// Most cases side by side; those that measure, or that disturb others, alone and last.
    async fn all(&self, cases: Vec<&'static Case>) -> Vec<Finding> {
        let alone = |case: &&Case| {
            case.group == Group::P || case.id == "rule/survives" || case.opt_in == Some(OptIn::Flood)
        };
        let (last, first): (Vec<&Case>, Vec<&Case>) = cases.iter().copied().partition(alone);
        let mut findings = Vec::with_capacity(cases.len());
        // Some cases hold two connections: with half as many cases as places, none waits for another for ever.
        let side_by_side = (self.shared.times.connections / 2).max(1);
        let mut running =
            stream::iter(first.into_iter().map(|case| self.one(case))).buffer_unordered(side_by_side);
        while let Some(finding) = running.next().await {
            self.progress.finished(&finding, findings.len() + 1, self.total);
            findings.push(finding);
        }
        drop(running);
        for case in last {
            let finding = self.one(case).await;
            self.progress.finished(&finding, findings.len() + 1, self.total);
            findings.push(finding);
        }
        findings.sort_by_key(|finding| cases.iter().position(|case| case.id == finding.id));
        findings
    }

    async fn one(&self, case: &'static Case) -> Finding {
        if let Some(outcome) = self.lacking(case) {
            return Finding::new(case, outcome, Vec::new(), self.framework);
        }
        let left = self.deadline.saturating_duration_since(CLOCK.instant());
        let probe = Probe::new(Arc::clone(self.shared));
        let mut outcome = match timeout(left, (case.run)(&probe)).await {
            Ok(found) => case.weigh(found.unwrap_or_else(|outcome| outcome)),
            Err(_) => Outcome::inconclusive("the time of the run was up (--max-time)"),
        };
        // Words of the server's may stand in it, and whatever it put into them.
        outcome.says = self.shared.redactor.clean(&printable(outcome.says.as_bytes()));
        Finding::new(case, outcome, probe.evidence(), self.framework)
    }

    /// What a case needs and does not have.
    fn lacking(&self, case: &Case) -> Option<Outcome> {
        let good: Option<&Good> = self.shared.good.get();
        let (mint, profile) = (&self.shared.mint, &self.shared.profile);
        case.needs.iter().find_map(|need| match need {
            Need::Good if good.is_none() && !mint.has_token() => Some(Outcome::inconclusive(
                "not tried: nobody is let in without a token, and none was given (--token-file, --token-command, --login)",
            )),
            Need::Good if good.is_none() => {
                Some(Outcome::inconclusive("not tried: no connection could be made that works"))
            }
            Need::Token if !mint.has_token() => Some(Outcome::inconclusive(
                "not tried: needs a token (--token-file, --token-command, --login) or a key",
            )),
            Need::Key if !mint.has_key() => {
                Some(Outcome::inconclusive("not tried: needs a key to sign with (--secret-file or --key)"))
            }
            Need::Key => good
                .and_then(|good| good.minted.as_ref().err())
                .map(|error| Outcome::inconclusive(format!("not tried: {error}"))),
            Need::TwoUsers if !mint.has_two_users() => {
                Some(Outcome::inconclusive("not tried: needs a second user's token, or a key"))
            }
            Need::Question if profile.question.is_none() => {
                Some(Outcome::not_applicable(format!("the profile {} asks no questions", profile.name)))
            }
            Need::Sequence if profile.sequence_field.is_none() => {
                Some(Outcome::not_applicable(format!("the profile {} numbers no events", profile.name)))
            }
            Need::Resume if profile.resume.is_none() => {
                Some(Outcome::not_applicable(format!("the profile {} resumes nothing", profile.name)))
            }
            Need::Renewal if profile.renewal.is_none() => {
                Some(Outcome::not_applicable(format!("the profile {} renews no tokens", profile.name)))
            }
            Need::Login if self.shared.login.is_none() => {
                Some(Outcome::not_applicable("no place to log in was given (--login)"))
            }
            _ => None,
        })
    }
}
