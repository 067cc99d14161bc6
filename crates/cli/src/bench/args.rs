//! The options of `portcullis bench`.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::ValueEnum;
use portcullis_load::{Form, Profile, Scenario, Target};
use portcullis_units::{ByteSize, Duration};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis bench ws://127.0.0.1:8000/ws --secret-file secret.key --kid main --profile portcullis
  portcullis bench ws://127.0.0.1:9000/echo --scenario messages --rate 2000
  portcullis bench ws://127.0.0.1:8000/ws --token-file tokens.txt --scenario hold --connections 5000 --pid 4711
  portcullis bench ws://127.0.0.1:8000/ws --secret-file a.key --vs ws://127.0.0.1:9000/ws --vs-secret-file b.key")]
pub(crate) struct BenchArgs {
    /// The server: ws://host:port/path, or wss:// for TLS.
    #[arg(value_name = "URL")]
    pub(super) url: Target,
    /// What to measure. Repeatable, or separated by commas. `all` leaves `storm` out where no --restart-command is given.
    #[arg(long, value_enum, value_name = "SCENARIO", value_delimiter = ',', default_value = "all")]
    pub(super) scenario: Vec<What>,
    #[command(flatten)]
    pub(super) pace: PaceArgs,
    #[command(flatten)]
    pub(super) credential: CredentialArgs,
    #[command(flatten)]
    pub(super) request: RequestArgs,
    #[command(flatten)]
    pub(super) message: MessageArgs,
    #[command(flatten)]
    pub(super) storm: StormArgs,
    #[command(flatten)]
    pub(super) versus: VersusArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    /// The server's process: its CPU time and memory are read (Linux only).
    #[arg(long, value_name = "PID")]
    pub(super) pid: Option<u32>,
    /// Load a host that is not this machine. Do that to your own servers alone.
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Pace")]
pub(super) struct PaceArgs {
    /// Operations a second, whatever becomes of those before: latency counts from when one was due. Without it, the next
    /// operation begins when one has ended, and a server that stands still is asked less.
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    pub(super) rate: Option<f64>,
    /// Operations at a time without --rate; connections of the scenario `messages`.
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) concurrency: u32,
    /// The most connections at a time; `hold` and `storm` open so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) connections: u32,
    /// How long each scenario is measured on each server.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(super) duration: Duration,
    /// How long each scenario runs before it is measured.
    #[arg(long, value_name = "TIME", default_value = "2s")]
    pub(super) warm_up: Duration,
    /// How long an operation may take before it counts as failed.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(super) timeout: Duration,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Credential")]
pub(super) struct CredentialArgs {
    /// A token. Repeatable: connections take turns. On the command line it ends up in the shell's history.
    #[arg(long, value_name = "TOKEN", group = "source")]
    pub(super) token: Vec<String>,
    /// A file of tokens, one a line.
    #[arg(long, value_name = "FILE", group = "source")]
    pub(super) token_file: Option<PathBuf>,
    /// A command, for a shell, that prints tokens, one a line. It is run once.
    #[arg(long, value_name = "COMMAND", group = "source")]
    pub(super) token_command: Option<String>,
    /// The shared secret (HS256) that the server verifies with: each connection gets a token of its own, and bad ones can be
    /// expired too. On the command line it ends up in the shell's history.
    #[arg(long, value_name = "SECRET", groups = ["source", "minting"])]
    pub(super) secret: Option<String>,
    /// A file with that secret.
    #[arg(long, value_name = "FILE", groups = ["source", "minting"])]
    pub(super) secret_file: Option<PathBuf>,
    /// The `kid` of minted tokens.
    #[arg(long, value_name = "KID", requires = "minting")]
    pub(super) kid: Option<String>,
    /// A further claim of minted tokens. JSON where it can be read as such, else text; `null` takes a claim out. Repeatable.
    #[arg(long = "claim", value_name = "NAME=VALUE", requires = "minting")]
    pub(super) claims: Vec<String>,
    /// How many users the minted tokens are of.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) users: u64,
    /// The form in which the server takes a token: subprotocol, bearer, two-element, query or cookie.
    #[arg(long, value_name = "FORM", default_value = "subprotocol")]
    pub(super) form: Form,
    /// The name of the query's parameter or of the cookie.
    #[arg(long, value_name = "NAME", default_value = "token")]
    pub(super) name: String,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Request")]
pub(super) struct RequestArgs {
    /// A subprotocol to offer. Repeatable. Default: `jwt-auth` where the token is in a subprotocol, else none.
    #[arg(long, value_name = "NAME")]
    pub(super) protocol: Vec<String>,
    /// The value of `Origin`.
    #[arg(long, value_name = "ORIGIN")]
    pub(super) origin: Option<String>,
    /// A further header line. Repeatable.
    #[arg(long, value_name = "NAME: VALUE")]
    pub(super) header: Vec<String>,
    /// Certificates (PEM) to trust beside the usual ones.
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// Take any certificate. For tests alone.
    #[arg(long, conflicts_with = "ca")]
    pub(super) insecure: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Messages and credentials that are mixed")]
pub(super) struct MessageArgs {
    /// What the server does with a message. `echo`: it comes back as it is. `reply`: whatever comes next is the answer.
    /// `portcullis`: a question, answered by the events of a run (wire protocol v1); handshakes wait for the greeting, too.
    #[arg(long, value_name = "PROFILE", default_value = "echo")]
    pub(super) profile: Profile,
    /// What to send; `{n}` stands for the message's number. In the profile `portcullis`, the question.
    #[arg(long, value_name = "TEXT", conflicts_with = "message_size")]
    pub(super) message: Option<String>,
    /// The size of a message that begins with its number.
    #[arg(long, value_name = "SIZE", default_value = "128 B")]
    pub(super) message_size: ByteSize,
    /// The part of bad credentials in the scenario `mixed`.
    #[arg(long, value_name = "SHARE", default_value = "10%")]
    pub(super) bad_share: Share,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Reconnect storm")]
pub(super) struct StormArgs {
    /// Restarts the server; a shell runs it once all connections are open. Without it, you are asked to.
    #[arg(long, value_name = "COMMAND")]
    pub(super) restart_command: Option<String>,
    /// How long to wait for the first loss, and from there until everybody is back.
    #[arg(long, value_name = "TIME", default_value = "1m")]
    pub(super) storm_timeout: Duration,
    /// The longest pause before a client's first attempt to come back; it doubles with each further one.
    #[arg(long, value_name = "TIME", default_value = "500ms")]
    pub(super) backoff: Duration,
    /// The longest pause of all.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub(super) max_backoff: Duration,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Comparison")]
pub(super) struct VersusArgs {
    /// Another server: both are measured in turns, in short slices, and the ratios of B to A are printed. It gets the same
    /// credentials unless the next options say otherwise.
    #[arg(long, value_name = "URL")]
    pub(super) vs: Option<Target>,
    /// A token for it. Repeatable.
    #[arg(long, value_name = "TOKEN", requires = "vs", conflicts_with = "vs_secret_file")]
    pub(super) vs_token: Vec<String>,
    /// A file with its shared secret.
    #[arg(long, value_name = "FILE", requires = "vs")]
    pub(super) vs_secret_file: Option<PathBuf>,
    /// The form in which it takes a token.
    #[arg(long, value_name = "FORM", requires = "vs")]
    pub(super) vs_form: Option<Form>,
    /// Its process.
    #[arg(long, value_name = "PID", requires = "vs")]
    pub(super) vs_pid: Option<u32>,
    /// How long a slice is.
    #[arg(long, value_name = "TIME", default_value = "500ms")]
    pub(super) slice: Duration,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Thresholds")]
pub(super) struct LimitArgs {
    /// Exit with 1 if the 99th percentile of a scenario's own latency is over this.
    #[arg(long, value_name = "TIME")]
    pub(super) max_p99: Option<Duration>,
    /// Exit with 1 if more than this part of a scenario's operations fail.
    #[arg(long, value_name = "SHARE")]
    pub(super) max_errors: Option<Share>,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    /// Connect, shake hands with a good credential, leave.
    Handshake,
    /// The same with bad ones, which have to be refused: none, malformed, tampered, expired, in turns.
    Refusal,
    /// Both mixed.
    Mixed,
    /// Messages and their answers.
    Messages,
    /// Open connections and hold them; with --pid, the memory of each.
    Hold,
    /// All connections are lost at once: how long until everybody is back.
    Storm,
    /// Everything.
    All,
}

impl What {
    pub(super) const fn scenario(self) -> Option<Scenario> {
        match self {
            Self::Handshake => Some(Scenario::Handshake),
            Self::Refusal => Some(Scenario::Refusal),
            Self::Mixed => Some(Scenario::Mixed),
            Self::Messages => Some(Scenario::Messages),
            Self::Hold => Some(Scenario::Hold),
            Self::Storm => Some(Scenario::Storm),
            Self::All => None,
        }
    }
}

/// A part of a whole: `0.1%`, or `0.001`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share(pub(super) f64);

/// The text is not a part of a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAShare;

impl fmt::Display for NotAShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a share: write `0.1%`, or `0.001`, up to `100%`")
    }
}

impl std::error::Error for NotAShare {}

impl FromStr for Share {
    type Err = NotAShare;

    fn from_str(text: &str) -> Result<Self, NotAShare> {
        let (digits, whole) = text.trim().strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
        let share = digits.trim().parse::<f64>().map_err(|_| NotAShare)? / whole;
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(NotAShare) }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "write a number, such as 500".to_owned())?;
    if (0.01..=1e6).contains(&rate) {
        Ok(rate)
    } else {
        Err("it has to be between 0.01 and 1000000".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_go_together() {
        use clap::CommandFactory as _;
        crate::args::Args::command().debug_assert();
    }

    #[test]
    fn shares_and_rates() {
        for (text, share) in
            [("0.1%", Some(0.001)), ("100 %", Some(1.0)), ("0.5", Some(0.5)), ("0", Some(0.0))]
        {
            assert_eq!(text.parse::<Share>().ok().map(|share| share.0), share, "{text}");
        }
        for text in ["", "%", "101%", "-1%", "NaN", "half"] {
            assert_eq!(text.parse::<Share>(), Err(NotAShare), "{text}");
        }
        assert!(positive("0").is_err() && positive("inf").is_err() && positive("x").is_err());
        assert!(positive("0.5").is_ok());
    }
}
