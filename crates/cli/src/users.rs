//! `portcullis users`: the accounts of the auth service. The database takes a second process, so the server may run.

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, IsTerminal as _, Read as _},
    process::ExitCode,
};

use anyhow::Context as _;
use portcullis_auth::{Accounts, User, accounts};
use portcullis_token::{Secret, Zeroizing};
use serde::Serialize;

use crate::{
    args::{NameArgs, PasswordArgs, Place, UsersCommand},
    config,
    data_dir::DataDir,
    exit::FINDINGS,
    output::{self, Output, Palette, Usage},
    time::{self, Relative},
};

/// Runs the command.
pub(crate) fn run(command: UsersCommand, out: Output) -> anyhow::Result<ExitCode> {
    match command {
        UsersCommand::Add(args) => with_password(&args, out, "added", Accounts::add),
        UsersCommand::Passwd(args) => with_password(&args, out, "has a new password", Accounts::set_password),
        UsersCommand::Disable(args) => change(&args, out, "is disabled", Accounts::disable),
        UsersCommand::Logout(args) => change(&args, out, "is logged out everywhere", Accounts::log_out),
        UsersCommand::Enable(args) => change(&args, out, "is enabled", Accounts::enable),
        UsersCommand::List(args) => list(&open(&args.place)?, out),
    }
}

fn open(place: &Place) -> anyhow::Result<Accounts> {
    let config = config::load(place.config.clone(), place.overrides())?.config;
    DataDir::open_or_create(&config.data_dir)?.accounts(&config.auth)
}

#[derive(Serialize)]
struct Changed<'a> {
    #[serde(flatten)]
    user: &'a User,
    /// Only where this command made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
}

fn with_password(
    args: &PasswordArgs,
    out: Output,
    done: &str,
    act: impl FnOnce(&Accounts, &str, &str) -> Result<User, accounts::Error>,
) -> anyhow::Result<ExitCode> {
    let accounts = open(&args.name.place)?;
    let password = if args.generate {
        Zeroizing::new(String::from_utf8_lossy(&Secret::generate().expose()[..GENERATED]).into_owned())
    } else if args.password_stdin {
        first_line()?
    } else {
        ask()?
    };
    match act(&accounts, &args.name.name, &password) {
        Ok(user) => {
            let generated = args.generate.then_some(password.as_str());
            out.print(&Changed { user: &user, password: generated }, |palette| {
                let mut text = format!("{} {} {done}\n", palette.green("✓"), palette.bold(&user.name));
                if let Some(password) = generated {
                    let _ = writeln!(text, "  password: {password}");
                }
                text
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => refused(error),
    }
}

fn change(
    args: &NameArgs,
    out: Output,
    done: &str,
    act: impl FnOnce(&Accounts, &str) -> Result<User, accounts::Error>,
) -> anyhow::Result<ExitCode> {
    match act(&open(&args.place)?, &args.name) {
        Ok(user) => {
            out.print(&Changed { user: &user, password: None }, |palette| {
                format!("{} {} {done}", palette.green("✓"), palette.bold(&user.name))
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => refused(error),
    }
}

/// What the caller can mend by another name or password is a finding; the rest could not run.
fn refused(error: accounts::Error) -> anyhow::Result<ExitCode> {
    match error {
        accounts::Error::Name(_)
        | accounts::Error::Exists
        | accounts::Error::Unknown
        | accounts::Error::Password(_) => {
            output::complain(&error.into());
            Ok(ExitCode::from(FINDINGS))
        }
        other => Err(other.into()),
    }
}

fn list(accounts: &Accounts, out: Output) -> anyhow::Result<ExitCode> {
    let users = accounts.list()?;
    let now = time::now();
    out.print(&users, |palette| table(&users, now, palette))?;
    Ok(ExitCode::SUCCESS)
}

fn table(users: &[User], now: u64, palette: Palette) -> String {
    if users.is_empty() {
        return "There are no accounts yet: portcullis users add NAME".to_owned();
    }
    let width = users.iter().map(|user| user.name.chars().count()).max().unwrap_or(0).max(4);
    let heading = format!("{:<width$}  {:<8}  {:<14}  {:<14}  id", "name", "state", "added", "last login");
    let mut text = format!("{}\n", palette.dim(heading));
    for user in users {
        let state = if user.enabled { palette.green("enabled") } else { palette.red("disabled") };
        let added = Relative { moment: user.created_at, now }.to_string();
        let last = user
            .last_login_at
            .map_or_else(|| "never".to_owned(), |moment| Relative { moment, now }.to_string());
        let _ = writeln!(
            text,
            "{:<width$}  {state:<8}  {added:<14}  {last:<14}  {}",
            palette.bold(&user.name),
            palette.dim(&user.id)
        );
    }
    text
}

fn first_line() -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    io::stdin()
        .lock()
        .take(MAX_INPUT)
        .read_line(&mut line)
        .context("cannot read the password from standard input")?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

fn ask() -> anyhow::Result<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        return Err(Usage(
            "there is no terminal to ask for a password: use --password-stdin or --generate".into(),
        )
        .into());
    }
    let ask = |prompt| {
        rpassword::prompt_password(prompt).map(Zeroizing::new).context("cannot ask for the password")
    };
    let password = ask("Password: ")?;
    anyhow::ensure!(password == ask("Again: ")?, "the two passwords differ");
    Ok(password)
}

/// 22 characters of base64url are 132 random bits.
const GENERATED: usize = 22;
/// Longer than any password that is taken.
const MAX_INPUT: u64 = 1 << 16;
