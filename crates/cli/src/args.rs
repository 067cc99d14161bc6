//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum};

use crate::{bench::args::BenchArgs, check::args::CheckArgs, config::Override, output::Format};

/// A gate between browsers and AI agents: authenticates every WebSocket before it opens.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 fine, 1 findings, 2 usage, 3 could not run, 4 serve stopped since its record of events had failed."
)]
pub(crate) struct Args {
    /// How to print results.
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub(crate) format: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway and the auth service.
    Serve(ServeArgs),
    /// Test any WebSocket server from outside: handshake, authentication, refusals. Gives a grade.
    Check(Box<CheckArgs>),
    /// Measure any WebSocket server: handshakes, refusals, messages, held connections, reconnect storms.
    Bench(Box<BenchArgs>),
    /// Explain a reason, a close code or an HTTP status.
    Explain(ExplainArgs),
    /// Find out from logs or a HAR file why connections failed. Exits with 1 if it finds incidents.
    Diagnose(DiagnoseArgs),
    /// Make, look into and check tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Check and show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Manage the accounts of the auth service. Works while the server runs.
    #[command(subcommand)]
    Users(UsersCommand),
    /// Print a page of the documentation that is made from the code.
    #[command(hide = true)]
    Reference(ReferenceArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReferenceArgs {
    /// Which page.
    #[arg(value_enum)]
    pub(crate) page: ReferencePage,
}

/// A page that is made from the code, beside the configuration's, which `config schema --markdown` prints.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ReferencePage {
    /// The cases of `check`.
    Check,
    /// The command line.
    Cli,
    /// The metrics.
    Metrics,
}

/// Flags override environment variables (`PORTCULLIS_GATEWAY__LISTEN`), which override the file.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ServeArgs {
    /// Configuration file (TOML). Without one, a development server starts on loopback.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address of the WebSocket endpoints and the page; port 0 picks a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address of the auth service.
    #[arg(long, value_name = "ADDR")]
    pub(crate) auth_listen: Option<SocketAddr>,
    /// Address of the metrics.
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin_listen: Option<SocketAddr>,
    /// Folder of keys and accounts; made on first use, readable by its owner alone.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Write the addresses here, as JSON, once all listeners accept.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

impl ServeArgs {
    /// The flags that are settings.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let address =
            |flag, key, value: Option<SocketAddr>| value.map(|value| Override::new(flag, key, value));
        [
            address("--listen", "gateway.listen", self.listen),
            address("--auth-listen", "auth.listen", self.auth_listen),
            address("--admin-listen", "gateway.admin_listen", self.admin_listen),
            self.data_dir.as_ref().map(|path| Override::new("--data-dir", "data_dir", path.display())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Where a command finds the server's keys and accounts.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Place {
    /// Configuration file of the server (TOML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data directory of the server. Default: `.portcullis`, or what the configuration says.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

impl Place {
    /// The flags that are settings.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        self.data_dir.iter().map(|path| Override::new("--data-dir", "data_dir", path.display())).collect()
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// A reason (`TOKEN_EXPIRED`, `token-expired`), a close code (`1006`) or an HTTP status (`401`).
    #[arg(value_name = "REASON|CODE", required_unless_present = "list")]
    pub(crate) what: Option<String>,
    /// List every reason.
    #[arg(long, conflicts_with = "what")]
    pub(crate) list: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DiagnoseArgs {
    /// A log (Portcullis, Uvicorn, nginx, `HAProxy`, Cloud Logging, JSON lines, a browser's console, or any of them mixed) or a
    /// HAR file; `-` for standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// Read on as the input grows, through rotation and truncation, and print incidents as they arise and grow.
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Print a token that the server of this data directory accepts.
    Mint(MintArgs),
    /// Show what a token says and what is wrong with it, without verifying its signature.
    Inspect(InspectArgs),
    /// Verify a token with the server's own keys and rules.
    Verify(VerifyArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct MintArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The user: stands in the token as it is given here, whether or not an account of that name exists.
    #[arg(long, value_name = "USER")]
    pub(crate) sub: String,
    /// How long it is good; a negative one (`--ttl=-1h`) has expired already.
    #[arg(long, value_name = "TIME", default_value = "1h", allow_hyphen_values = true)]
    pub(crate) ttl: crate::time::Ttl,
    /// A further claim. JSON where it can be read as such, else text. Repeatable; replaces a claim of that name.
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    pub(crate) claims: Vec<String>,
    /// The audience. Repeatable. Default: the auth service's own.
    #[arg(long, value_name = "AUD")]
    pub(crate) aud: Vec<String>,
    /// The scopes, separated by spaces. Default: the auth service's own.
    #[arg(long, value_name = "SCOPES")]
    pub(crate) scope: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// The token, or `-` for standard input. On the command line it ends up in the shell's history.
    #[arg(value_name = "TOKEN", default_value = "-", allow_hyphen_values = true)]
    pub(crate) token: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The token, or `-` for standard input. On the command line it ends up in the shell's history.
    #[arg(value_name = "TOKEN", default_value = "-", allow_hyphen_values = true)]
    pub(crate) token: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a configuration with everything that it refers to. Exits with 1 if it has faults.
    Check(ConfigArgs),
    /// Show the settings in force and where each comes from.
    Show(ConfigArgs),
    /// Print the JSON Schema of the configuration.
    Schema(SchemaArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file (TOML). Without one: defaults and environment variables.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {
    /// Print it as a reference for people instead, in Markdown.
    #[arg(long)]
    pub(crate) markdown: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Add an account. Without a flag, the password is asked for.
    Add(PasswordArgs),
    /// List the accounts.
    List(ListArgs),
    /// Set an account's password. Its sessions end.
    Passwd(PasswordArgs),
    /// End an account's sessions on all devices; its owner may log in again.
    Logout(NameArgs),
    /// Lock an account. Its sessions end.
    Disable(NameArgs),
    /// Unlock an account.
    Enable(NameArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct PasswordArgs {
    #[command(flatten)]
    pub(crate) name: NameArgs,
    /// Read the password from the first line of standard input.
    #[arg(long, conflicts_with = "generate")]
    pub(crate) password_stdin: bool,
    /// Make a password and print it.
    #[arg(long)]
    pub(crate) generate: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NameArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The account's name.
    pub(crate) name: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) place: Place,
}
