//! `portcullis check`: tests any WebSocket server from outside.

pub(crate) mod args;
mod progress;
mod text;

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context as _;
use portcullis_check::{
    Baseline, Case, CouldNotRun, Login, OptIn, Options, Profile, Progress, Report, Selection, SigningKey,
    Target, Worse, formats,
};
use portcullis_token::Secret;
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::args::CheckArgs;
use crate::{
    credential,
    exit::{COULD_NOT_RUN, FINDINGS},
    output::{Format, Output, Usage},
    token::claim,
};

/// Runs the command.
pub(crate) fn run(args: &CheckArgs, out: Output) -> anyhow::Result<ExitCode> {
    let selection = select(args).map_err(|error| Usage(error.to_string()))?;
    if args.list {
        return list(&selection, out);
    }
    let baseline =
        args.baseline.as_deref().map(|path| Baseline::read(&read(path)?).map_err(anyhow::Error::from));
    let baseline = baseline.transpose()?;
    let options = options(args, selection)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let watching = progress::Line::new();
    let result = runtime.block_on(portcullis_check::run(options, &watching as &(dyn Progress + Sync)));
    watching.clear();
    let report = match result {
        Ok(report) => report,
        Err(error @ (CouldNotRun::Unreachable(_) | CouldNotRun::Tls(_) | CouldNotRun::Login(_))) => {
            return Err(anyhow::anyhow!("the server could not be tested: {error}"));
        }
    };
    let worse = baseline.map(|baseline| baseline.worse(&report));
    print(&report, worse.as_deref(), args.verbose, out)?;
    Ok(exit_code(&report, worse.as_deref(), args.strict))
}

fn exit_code(report: &Report, worse: Option<&[Worse]>, strict: bool) -> ExitCode {
    let found = || report.has_findings(strict) || !report.root_causes.is_empty();
    let summary = report.summary;
    if worse.map_or_else(found, |worse| !worse.is_empty()) {
        ExitCode::from(FINDINGS)
    } else if summary.pass + summary.warn + summary.fail == 0 {
        // Not one case came to a verdict.
        ExitCode::from(COULD_NOT_RUN)
    } else {
        ExitCode::SUCCESS
    }
}

fn print(report: &Report, worse: Option<&[Worse]>, verbose: bool, out: Output) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Compared<'a> {
        #[serde(flatten)]
        report: &'a Report,
        #[serde(skip_serializing_if = "Option::is_none")]
        worse: Option<&'a [Worse]>,
    }
    Output::write(match out.format() {
        Format::Text => text::render(report, worse, verbose, out.palette()),
        Format::Json => serde_json::to_string_pretty(&Compared { report, worse })?,
        Format::Junit => formats::junit(report),
        Format::Sarif => serde_json::to_string_pretty(&formats::sarif(report))?,
        Format::Html => formats::html(report),
        Format::Markdown => formats::markdown(report),
    })
}

fn select(args: &CheckArgs) -> Result<Selection, portcullis_check::SelectionError> {
    let mut opted_in = Vec::new();
    if args.silence.is_some() {
        opted_in.push(OptIn::Silence);
    }
    if args.flood {
        opted_in.push(OptIn::Flood);
    }
    Selection::new(&args.only, &args.skip, &args.phases, opted_in)
}

fn list(selection: &Selection, out: Output) -> anyhow::Result<ExitCode> {
    let cases: Vec<&Case> = selection.cases().collect();
    let lines: Vec<Value> = cases
        .iter()
        .map(|case| {
            json!({
                "id": case.id,
                "group": case.group,
                "level": case.level,
                "clause": case.clause,
                "requirement": case.requirement,
                "reason": case.reason.map(portcullis_reason::Reason::id),
            })
        })
        .collect();
    out.print(&lines, |palette| text::list(&cases, palette))?;
    Ok(ExitCode::SUCCESS)
}

fn options(args: &CheckArgs, selection: Selection) -> anyhow::Result<Options> {
    let usage = |error: &dyn std::fmt::Display| Usage(error.to_string());
    let target = Target::parse(args.url.as_deref().unwrap_or_default()).map_err(|error| usage(&error))?;
    let login = login(args)?;
    let local = target.is_loopback() && login.as_ref().is_none_or(|login| login.target.is_loopback());
    if !local && !args.yes {
        return Err(Usage(format!(
            "{target} is not on this machine: say --yes if it is yours to test, for several hundred connections are made, \
             most of them bad on purpose"
        ))
        .into());
    }
    let pace = args.pace.map_or_else(
        || std::time::Duration::from_millis(if target.is_loopback() { 2 } else { 50 }),
        std::time::Duration::from,
    );
    Ok(Options {
        tokens: tokens(args)?,
        key: key(args)?,
        kid: args.kid.clone(),
        claims: claims(&args.claims)?,
        login,
        forms: args.forms.clone(),
        profile: profile(&args.profile)?,
        framework: args.framework,
        origin: args.origin.clone(),
        selection,
        connections: usize::from(args.connections),
        pace,
        timeout: args.timeout.into(),
        settle: args.settle.into(),
        patience: args.patience.into(),
        leeway: args.leeway.into(),
        silence: args.silence.map_or(std::time::Duration::from_mins(1), std::time::Duration::from),
        max_time: args.max_time.into(),
        ca: args
            .ca
            .as_deref()
            .map(|path| fs::read(path).with_context(|| path.display().to_string()))
            .transpose()?,
        target,
    })
}

/// The tokens, in the order: flags, files, commands.
fn tokens(args: &CheckArgs) -> anyhow::Result<Vec<String>> {
    let mut tokens: Vec<String> = args.tokens.iter().map(|token| token.trim().to_owned()).collect();
    for path in &args.token_files {
        tokens.push(read(path)?.trim().to_owned());
    }
    for command in &args.token_commands {
        let printed = credential::printed(command)?;
        tokens.push(printed.lines().next().unwrap_or_default().trim().to_owned());
    }
    // A line break in a token would be one in the request.
    match tokens
        .iter()
        .find(|token| token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()))
    {
        Some(_) => Err(Usage("a token is empty, or has white space in it".to_owned()).into()),
        None => Ok(tokens),
    }
}

fn key(args: &CheckArgs) -> anyhow::Result<Option<SigningKey>> {
    if let Some(path) = &args.key {
        return Ok(Some(SigningKey::private(&read(path)?).with_context(|| path.display().to_string())?));
    }
    let secret = match (&args.secret, &args.secret_file) {
        (Some(secret), _) => Secret::from(secret.as_str()),
        (None, Some(path)) => credential::secret(path)?,
        (None, None) => return Ok(None),
    };
    Ok(Some(SigningKey::shared(secret, Some(&args.alg)).map_err(|error| Usage(error.to_string()))?))
}

fn claims(texts: &[String]) -> Result<Map<String, Value>, Usage> {
    let mut claims = Map::new();
    for text in texts {
        let (name, value) = claim::parse(text)?;
        claims.insert(name, value);
    }
    Ok(claims)
}

fn login(args: &CheckArgs) -> anyhow::Result<Option<Login>> {
    let (Some(url), Some(path)) = (&args.login, &args.login_body) else { return Ok(None) };
    let target = Target::parse(url).map_err(|error| Usage(format!("--login: {error}")))?;
    Ok(Some(Login { target, body: read(path)?, field: args.login_field.clone() }))
}

fn profile(name: &str) -> anyhow::Result<Profile> {
    if let Some(profile) = Profile::named(name) {
        return Ok(profile);
    }
    let path = Path::new(name);
    if !path.exists() {
        let suggestion = crate::suggest::nearest(name, Profile::NAMES);
        let hint = suggestion.map(|name| format!(" Did you mean {name}?")).unwrap_or_default();
        return Err(Usage(format!(
            "`{name}` is neither a profile ({}) nor a file.{hint}",
            Profile::NAMES.join(", ")
        ))
        .into());
    }
    Profile::from_toml(&read(path)?).with_context(|| path.display().to_string())
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}
