//! `portcullis bench`: load on any WebSocket server. The measuring is `portcullis-load`'s; here is what stands around it:
//! options to a plan, progress, Ctrl-C, the table.

pub(crate) mod args;
mod text;

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use portcullis_load::{
    Content, Credentials, Extras, Form, Mint, Observer, Plan, Progress, Report, Scenario, Source,
    StormOptions, Subject, Target, Thresholds, Trust, measure, page,
};
use portcullis_token::Secret;
use serde_json::Map;
use tokio_util::sync::CancellationToken;

use self::args::BenchArgs;
use crate::{
    credential,
    exit::{COULD_NOT_RUN, FINDINGS},
    output::{self, Format, Output, Usage},
    token::claim,
};

/// Runs the command.
pub(crate) fn run(args: &BenchArgs, out: Output) -> anyhow::Result<ExitCode> {
    if !matches!(out.format(), Format::Text | Format::Json | Format::Html) {
        let name = out.format().name();
        return Err(Usage(format!(
            "there is no `--format {name}` of a measurement: it prints text, json or html"
        ))
        .into());
    }
    let plan = plan(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the threads of the generator cannot be started")?;
    let report = runtime.block_on(async {
        let stop = CancellationToken::new();
        let interrupt = {
            let stop = stop.clone();
            async move {
                if tokio::signal::ctrl_c().await.is_ok() {
                    stop.cancel();
                }
                // A second one ends the program, for whoever does not want to wait for the report.
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let terminal = io::stderr().is_terminal();
        let observer = Arc::new(Watcher { terminal });
        tokio::select! {
            report = measure(&plan, observer, stop) => report.map_err(anyhow::Error::from),
            () = interrupt => Err(anyhow::anyhow!("interrupted")),
        }
    });
    // Connections that were left behind are of no interest any more.
    runtime.shutdown_background();
    clear_progress();
    let report = report?;
    match out.format() {
        Format::Html => Output::write(page(&report))?,
        _ => out.print(&report, |palette| text::table(&report, palette))?,
    }
    Ok(exit_code(&report))
}

fn exit_code(report: &Report) -> ExitCode {
    if !report.problems.is_empty() || report.measured.is_empty() {
        ExitCode::from(COULD_NOT_RUN)
    } else if report.exceeded.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FINDINGS)
    }
}

/// Turns options into a plan.
fn plan(args: &BenchArgs) -> anyhow::Result<Plan> {
    let versus = &args.versus;
    for target in [Some(&args.url), versus.vs.as_ref()].into_iter().flatten() {
        permitted(target, args.yes)?;
    }
    let scenarios = scenarios(args)?;
    let source = source(args)?;
    let credentials = |source: Source, form: Form| {
        Credentials::new(source, form, args.request.protocol.clone(), &args.credential.name)
    };
    let subject = Subject {
        target: args.url.clone(),
        credentials: credentials(source.clone(), args.credential.form),
        pid: args.pid,
    };
    let other = match &versus.vs {
        None => None,
        Some(url) => {
            let source = match &versus.vs_secret_file {
                Some(path) => mint(args, &credential::secret(path)?)?,
                None if versus.vs_token.is_empty() => source,
                None => Source::Tokens(versus.vs_token.clone().into()),
            };
            let form = versus.vs_form.unwrap_or(args.credential.form);
            Some(Subject { target: url.clone(), credentials: credentials(source, form), pid: versus.vs_pid })
        }
    };
    let positive = |time: portcullis_units::Duration, option: &str| {
        if time.is_zero() {
            Err(Usage(format!("{option} has to be longer than that")))
        } else {
            Ok(time.get())
        }
    };
    let fields = args.request.header.iter().map(|line| header(line)).collect::<Result<_, _>>()?;
    Ok(Plan {
        subject,
        versus: other,
        scenarios,
        rate: args.pace.rate,
        concurrency: args.pace.concurrency as usize,
        connections: args.pace.connections as usize,
        duration: positive(args.pace.duration, "--duration")?,
        warm_up: args.pace.warm_up.get(),
        timeout: positive(args.pace.timeout, "--timeout")?,
        bad_share: args.message.bad_share.0,
        profile: args.message.profile,
        content: args
            .message
            .message
            .clone()
            .map_or_else(|| Content::Bytes(args.message.message_size.as_usize()), Content::Text),
        slice: positive(versus.slice, "--slice")?,
        storm: StormOptions {
            restart: args.storm.restart_command.clone(),
            patience: positive(args.storm.storm_timeout, "--storm-timeout")?,
            backoff: args.storm.backoff.get(),
            most_backoff: args.storm.max_backoff.get(),
        },
        trust: match (&args.request.ca, args.request.insecure) {
            (Some(path), _) => {
                Trust::With(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?)
            }
            (None, true) => Trust::Anything,
            (None, false) => Trust::Usual,
        },
        extras: Extras { origin: args.request.origin.clone(), fields },
        limits: Thresholds {
            p99: args.limits.max_p99.map(portcullis_units::Duration::get),
            errors: args.limits.max_errors.map(|share| share.0),
        },
    })
}

/// Load on a host of others is an attack, so it takes a word.
fn permitted(target: &Target, yes: bool) -> Result<(), Usage> {
    if yes || target.is_loopback() {
        return Ok(());
    }
    Err(Usage(format!("{} is not this machine: add --yes if it is yours to put under load", target.host)))
}

fn scenarios(args: &BenchArgs) -> Result<Vec<Scenario>, Usage> {
    let compared = args.versus.vs.is_some();
    let asked: Vec<Scenario> = args.scenario.iter().filter_map(|what| what.scenario()).collect();
    let every = args.scenario.iter().any(|what| what.scenario().is_none());
    let fits = |scenario: Scenario| {
        (!compared || scenario.has_slices())
            && (scenario != Scenario::Storm || args.storm.restart_command.is_some())
    };
    if compared && let Some(scenario) = asked.iter().find(|scenario| !scenario.has_slices()) {
        let name = scenario.name();
        return Err(Usage(format!(
            "`{name}` cannot be measured in turns: run it once for each server, without --vs"
        )));
    }
    let wanted = |scenario: &Scenario| asked.contains(scenario) || (every && fits(*scenario));
    Ok(Scenario::ALL.into_iter().filter(wanted).collect())
}

fn source(args: &BenchArgs) -> anyhow::Result<Source> {
    let given = &args.credential;
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect()
    };
    let (tokens, origin) = if let Some(secret) = &given.secret {
        return mint(args, &Secret::from(secret.as_str()));
    } else if let Some(path) = &given.secret_file {
        return mint(args, &credential::secret(path)?);
    } else if let Some(path) = &given.token_file {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        (lines(&text), path.display().to_string())
    } else if let Some(command) = &given.token_command {
        (lines(&credential::printed(command)?), "the output of --token-command".to_owned())
    } else if given.token.is_empty() {
        return Ok(Source::None);
    } else {
        (given.token.clone(), "--token".to_owned())
    };
    anyhow::ensure!(!tokens.is_empty(), "there is no token in {origin}");
    // Told without the token, which may only be pasted wrongly.
    anyhow::ensure!(
        tokens.iter().all(|token| token.bytes().all(|byte| byte.is_ascii_graphic())),
        "a token in {origin} holds something else than visible ASCII characters"
    );
    Ok(Source::Tokens(tokens.into()))
}

fn mint(args: &BenchArgs, secret: &Secret) -> anyhow::Result<Source> {
    let claims: Map<_, _> =
        args.credential.claims.iter().map(|claim| claim::parse(claim)).collect::<Result<_, _>>()?;
    let ttl = 3_600.max(2 * args.pace.duration.as_secs());
    let mint = Mint::new(secret, args.credential.kid.as_deref(), claims, args.credential.users, ttl)
        .context("the shared secret cannot sign")?;
    Ok(Source::Mint(Arc::new(mint)))
}

fn header(line: &str) -> Result<(String, String), Usage> {
    let fault = || Usage(format!("`{line}` is not a header line: write --header 'Name: value'"));
    let (name, value) = line.split_once(':').ok_or_else(fault)?;
    let name_is_sound =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !name_is_sound || value.chars().any(char::is_control) {
        return Err(fault());
    }
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// Tells on standard error how far it is, where somebody looks.
struct Watcher {
    terminal: bool,
}

impl Observer for Watcher {
    fn progress(&self, scenario: Scenario, server: &'static str, progress: &Progress) {
        if !self.terminal {
            return;
        }
        let state = if progress.warming_up { "warm-up" } else { "measuring" };
        let p99 = progress
            .p99
            .map_or_else(String::new, |p99| format!(", p99 {}", text::time(p99.as_secs_f64() * 1e3)));
        // That nobody reads it is no reason to fail.
        let _ = write!(
            io::stderr().lock(),
            "\r\x1b[K{} {server}: {state} {:.0} of {:.0} s, {} done, {} failed, {} under way{p99}",
            scenario.name(),
            progress.elapsed.as_secs_f64(),
            progress.total.as_secs_f64(),
            progress.succeeded,
            progress.failed,
            progress.under_way,
        );
    }

    fn ready_for_storm(&self, connections: usize, by_command: bool) {
        clear_progress();
        if by_command {
            output::note(format_args!("{connections} connections are open; restarting the server"));
        } else {
            output::note(format_args!("{connections} connections are open: restart the server now"));
        }
    }
}

fn clear_progress() {
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr().lock(), "\r\x1b[K");
    }
}
