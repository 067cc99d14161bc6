//! The flags of `portcullis check`.

use std::path::PathBuf;

use portcullis_check::{FormKind, Framework};
use portcullis_units::Duration;

#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing failed, 1 something did (with --strict a warning counts, with --baseline only \
                        what got worse), 2 usage, 3 the server could not be tested."
)]
pub(crate) struct CheckArgs {
    /// The endpoint: `ws://127.0.0.1:8000/ws`.
    #[arg(value_name = "URL", required_unless_present = "list")]
    pub(crate) url: Option<String>,

    /// A token that the server takes. Give a second one of another user to test that users are apart. On the command
    /// line it ends up in the shell's history.
    #[arg(long = "token", value_name = "TOKEN", help_heading = "Credentials")]
    pub(crate) tokens: Vec<String>,
    /// A file with a token in it. Repeatable, as `--token`.
    #[arg(long = "token-file", value_name = "FILE", help_heading = "Credentials")]
    pub(crate) token_files: Vec<PathBuf>,
    /// A command that prints a token; run by `sh`. Repeatable, as `--token`.
    #[arg(long = "token-command", value_name = "COMMAND", help_heading = "Credentials")]
    pub(crate) token_commands: Vec<String>,
    /// The shared secret that tokens are signed with: every kind of bad token is made with it.
    #[arg(long, value_name = "SECRET", conflicts_with_all = ["secret_file", "key"], help_heading = "Credentials")]
    pub(crate) secret: Option<String>,
    /// A file with the shared secret; one line break at its end does not count.
    #[arg(long, value_name = "FILE", conflicts_with = "key", help_heading = "Credentials")]
    pub(crate) secret_file: Option<PathBuf>,
    /// A file with the private key that tokens are signed with (PEM, PKCS#8): RSA, P-256, P-384 or Ed25519.
    #[arg(long, value_name = "FILE", help_heading = "Credentials")]
    pub(crate) key: Option<PathBuf>,
    /// The algorithm of a shared secret.
    #[arg(long, value_name = "ALG", default_value = "HS256", help_heading = "Credentials")]
    pub(crate) alg: String,
    /// The `kid` of tokens that are made. Default: the given token's.
    #[arg(long, value_name = "KID", help_heading = "Credentials")]
    pub(crate) kid: Option<String>,
    /// A claim of tokens that are made, beside those of the given token. JSON where it can be read as such, else text.
    #[arg(long = "claim", value_name = "NAME=VALUE", help_heading = "Credentials")]
    pub(crate) claims: Vec<String>,
    /// Where to log in for a token.
    #[arg(long, value_name = "URL", requires = "login_body", help_heading = "Credentials")]
    pub(crate) login: Option<String>,
    /// A file with the JSON to post there.
    #[arg(long, value_name = "FILE", requires = "login", help_heading = "Credentials")]
    pub(crate) login_body: Option<PathBuf>,
    /// The member of the login's answer that holds the token: a name or a JSON pointer.
    #[arg(long, value_name = "NAME", default_value = "access_token", help_heading = "Credentials")]
    pub(crate) login_field: String,

    /// Where the token goes: `subprotocol`, `bearer`, `two-element`, `query`, `cookie`, or a template: a header
    /// (`X-Token: {token}`), a parameter (`?t={token}`), or the first message (`{"token":"{token}"}`). Default: found by
    /// trying.
    #[arg(long = "form", value_name = "FORM", help_heading = "The server")]
    pub(crate) forms: Vec<FormKind>,
    /// The server's dialect: portcullis, generic, ag-ui, graphql-ws, socketio, or a TOML file.
    #[arg(long, value_name = "NAME|FILE", default_value = "generic", help_heading = "The server")]
    pub(crate) profile: String,
    /// What the server is built with, for remedies in its code: fastapi, starlette, express-ws, socketio, spring, actix,
    /// axum, go-gorilla or generic. Default: recognised, where it can be.
    #[arg(long, value_name = "NAME", help_heading = "The server")]
    pub(crate) framework: Option<Framework>,
    /// The origin of pages that may connect. Default: the server's own.
    #[arg(long, value_name = "ORIGIN", help_heading = "The server")]
    pub(crate) origin: Option<String>,
    /// Certificates (PEM) to trust beside the usual ones.
    #[arg(long, value_name = "FILE", help_heading = "The server")]
    pub(crate) ca: Option<PathBuf>,

    /// Run only these cases: a group (A), an id, or the beginning of one. Repeatable.
    #[arg(long, value_name = "CASE", help_heading = "Cases")]
    pub(crate) only: Vec<String>,
    /// Leave these out. Repeatable.
    #[arg(long, value_name = "CASE", help_heading = "Cases")]
    pub(crate) skip: Vec<String>,
    /// Run one area only: core, negotiation, `error_handling`, `golden_path`, performance or `rfc_compliance`. Repeatable.
    #[arg(long = "phase", value_name = "AREA", help_heading = "Cases")]
    pub(crate) phases: Vec<String>,
    /// List the cases that would run, and run none.
    #[arg(long, help_heading = "Cases")]
    pub(crate) list: bool,
    /// Also wait so long in silence (`60s`): does the connection last, and is a dead peer found?
    #[arg(long, value_name = "TIME", help_heading = "Cases")]
    pub(crate) silence: Option<Duration>,
    /// Also make 600 bad attempts in a row: are guesses slowed down?
    #[arg(long, help_heading = "Cases")]
    pub(crate) flood: bool,

    /// Warnings and what could not be tried count as findings too.
    #[arg(long, help_heading = "Result")]
    pub(crate) strict: bool,
    /// An earlier JSON report: only what got worse counts.
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub(crate) baseline: Option<PathBuf>,
    /// Show every case with what was sent and what came.
    #[arg(long, short, help_heading = "Result")]
    pub(crate) verbose: bool,

    /// The server is mine to test. Needed where it is not on this machine.
    #[arg(long, help_heading = "Bounds")]
    pub(crate) yes: bool,
    /// Most connections at once.
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=256), help_heading = "Bounds")]
    pub(crate) connections: u16,
    /// Time between two connections. Default: 2ms on this machine, else 50ms.
    #[arg(long, value_name = "TIME", help_heading = "Bounds")]
    pub(crate) pace: Option<Duration>,
    /// How long an answer may take.
    #[arg(long, value_name = "TIME", default_value = "5s", help_heading = "Bounds")]
    pub(crate) timeout: Duration,
    /// How long an accepted connection is watched before it counts as let in.
    #[arg(long, value_name = "TIME", default_value = "1s", help_heading = "Bounds")]
    pub(crate) settle: Duration,
    /// How long the server gets to end a handshake that does not go on.
    #[arg(long, value_name = "TIME", default_value = "20s", help_heading = "Bounds")]
    pub(crate) patience: Duration,
    /// How long a connection may go on once a handshake with its token is refused: after `exp` and the server's own leeway.
    #[arg(long, value_name = "TIME", default_value = "5s", help_heading = "Bounds")]
    pub(crate) leeway: Duration,
    /// Longest time for everything.
    #[arg(long, value_name = "TIME", default_value = "5m", help_heading = "Bounds")]
    pub(crate) max_time: Duration,
}
