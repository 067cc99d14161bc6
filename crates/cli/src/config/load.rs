//! Putting the layers together, and finding as many faults at once as can be told apart.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_path_to_error::Segment;
use toml::de::DeTable;

use super::{
    env,
    layers::{Node, Step, Way, place},
    loaded::Loaded,
    problem::{Error, Fault, Origin, Problem},
    rules,
    settings::Config,
};
use crate::suggest;

/// A setting from the command line.
#[derive(Clone, Debug)]
pub(crate) struct Override {
    flag: &'static str,
    key: &'static str,
    value: String,
}

impl Override {
    pub(crate) fn new(flag: &'static str, key: &'static str, value: impl fmt::Display) -> Self {
        Self { flag, key, value: value.to_string() }
    }
}

/// Loads the configuration: the file (from the flag, or `PORTCULLIS_CONFIG`), under the environment, under `overrides`.
pub(crate) fn load(file: Option<PathBuf>, overrides: Vec<Override>) -> Result<Loaded, Error> {
    load_from(file.or_else(env::file), env::settings(), overrides)
}

fn load_from(
    file: Option<PathBuf>,
    variables: impl Iterator<Item = (String, String)>,
    overrides: Vec<Override>,
) -> Result<Loaded, Error> {
    let (mut tree, folder) = match file {
        Some(file) => {
            let unreadable = |source| Error::Unreadable { file: file.display().to_string(), source };
            let bytes = fs::read(&file).map_err(unreadable)?;
            let text = String::from_utf8(bytes)
                .map_err(|_| unreadable(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")))?;
            let folder = file.parent().map(Path::to_owned);
            (parse(&file, &text).map_err(Error::Problems)?, folder)
        }
        None => (Node::root(), None),
    };
    let mut warnings = Vec::new();
    apply_variables(&mut tree, variables, &mut warnings);
    for Override { flag, key, value } in overrides {
        let way: Vec<String> = key.split('.').map(str::to_owned).collect();
        tree.set(&way, &value, &Origin::Flag(flag));
    }

    let (config, mut problems) = deserialise(&mut tree);
    let mut loaded = Loaded { config: config.unwrap_or_default(), warnings, tree };
    resolve_paths(&mut loaded, folder.as_deref());
    if problems.is_empty() {
        problems = rules::check(&loaded).into_iter().map(|fault| locate(&loaded.tree, fault)).collect();
        loaded.warnings.extend(rules::warnings(&loaded.config));
    }
    if problems.is_empty() {
        return Ok(loaded);
    }
    problems.sort_by_key(|problem| match problem.at {
        Origin::File { line, column, .. } => (line, column),
        Origin::Default | Origin::Env(_) | Origin::Flag(_) => (usize::MAX, 0),
    });
    Err(Error::Problems(problems))
}

fn parse(file: &Path, text: &str) -> Result<Node, Vec<Problem>> {
    let file: Arc<Path> = Arc::from(file);
    let (spans, errors) = DeTable::parse_recoverable(text);
    let problems: Vec<_> = errors
        .into_iter()
        .map(|error| Problem {
            at: place(&file, text, error.span().map_or(0, |span| span.start)),
            key: String::new(),
            message: error.message().lines().collect::<Vec<_>>().join(", "),
            hint: None,
        })
        .collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    match toml::from_str(text) {
        Ok(values) => Ok(Node::from_file(&file, text, spans.get_ref(), &values)),
        Err(error) => Err(vec![Problem {
            at: place(&file, text, error.span().map_or(0, |span| span.start)),
            key: String::new(),
            message: error.message().to_owned(),
            hint: None,
        }]),
    }
}

/// Sets what variables name. One whose first part is no section is not ours: Kubernetes makes `PORTCULLIS_PORT` and the
/// like for a service of that name.
fn apply_variables(
    tree: &mut Node,
    variables: impl Iterator<Item = (String, String)>,
    warnings: &mut Vec<String>,
) {
    let sections = sections();
    let mut variables: Vec<_> = variables.collect();
    variables.sort();
    for (name, value) in variables {
        let way = env::key(&name);
        let Some(first) = way.first() else { continue };
        if sections.contains_key(first) {
            tree.set(&way, &value, &Origin::Env(name.as_str().into()));
        } else if way.len() > 1 {
            let hint = suggest::nearest(first, sections.keys().map(String::as_str))
                .map_or_else(String::new, |section| format!("; did you mean `{section}`?"));
            warnings.push(format!("{name} is ignored: there is no section `{first}`{hint}"));
        }
    }
}

/// Reads the tree. A fault is noted, what it concerns is taken out, and the rest is read again.
fn deserialise(tree: &mut Node) -> (Option<Config>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut rest = tree.clone();
    // The first reading's complaint is the one worth telling.
    let mut complaint: Option<(Way, Problem)> = None;
    loop {
        let error = match serde_path_to_error::deserialize::<_, Config>(rest.to_toml()) {
            Ok(config) => {
                *tree = rest;
                return (Some(config), problems);
            }
            Err(error) => error,
        };
        let way = way(error.path());
        let problem = explain(&rest, &way, error.inner().message());
        // Text of the environment has no type: another reading of it may fit.
        if rest.reread(&way.0) {
            complaint.get_or_insert((way, problem));
            continue;
        }
        let (way, problem) = complaint.take().unwrap_or((way, problem));
        // What is missing because it was wrong was told.
        let wrong = |other: &Problem| other.key == format!("{}.{}", problem.key, missing(&problem.message));
        if !problems.iter().any(wrong) {
            problems.push(problem);
        }
        if problems.len() == MAX_PROBLEMS || !rest.remove(&way.0) {
            return (None, problems);
        }
    }
}

fn way(path: &serde_path_to_error::Path) -> Way {
    let steps = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    Way(steps.collect())
}

/// Turns serde's message into ours.
fn explain(tree: &Node, way: &Way, message: &str) -> Problem {
    let node = tree.nearest(&way.0);
    let message = message.lines().next().unwrap_or_default();
    let mut problem = Problem {
        at: node.at.clone(),
        key: tree.whole(way).to_string(),
        message: message.to_owned(),
        hint: None,
    };
    let names = || backticked(message);
    if message.starts_with("unknown field") {
        let mut names = names();
        let known = names.split_off(1.min(names.len()));
        let name = names.first().copied().unwrap_or_default();
        problem.at = node.key.clone();
        problem.message = format!("unknown field `{name}`");
        problem.hint = suggest::nearest(name, known.iter().copied())
            .map(|near| format!("did you mean `{near}`?"))
            .or_else(|| elsewhere(name).map(|sections| format!("it belongs to {sections}")))
            .or_else(|| Some(format!("known here: {}", known.join(", "))));
    } else if message.starts_with("unknown variant") {
        let mut names = names();
        let known = names.split_off(1.min(names.len()));
        let name = names.first().copied().unwrap_or_default();
        problem.message = format!("`{name}` is none of {}", known.join(", "));
        problem.hint =
            suggest::nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    } else if message.contains("expected a sequence") {
        problem.message = message.replace("a sequence", "a list");
        problem.hint = Some("write it in brackets: `[\"…\", \"…\"]`".into());
    } else if let Some((before, expected)) = message.split_once("expected ") {
        // Names of Rust's types mean nothing to an operator.
        let expected = match expected {
            "a nonzero u32" => "a whole number from 1",
            "u32" | "u64" | "usize" => "a whole number from 0",
            other => other,
        };
        problem.message = format!("{before}expected {expected}");
    } else if message.contains("socket address") {
        "not an address with a port".clone_into(&mut problem.message);
        problem.hint = Some("write it as `127.0.0.1:8000` or `[::1]:8000`".into());
    }
    problem
}

/// The field that serde misses.
fn missing(message: &str) -> &str {
    message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')).unwrap_or_default()
}

/// The words in backticks.
fn backticked(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// The sections that have a key of that name.
fn elsewhere(name: &str) -> Option<String> {
    let found: Vec<_> = sections()
        .into_iter()
        .filter(|(_, section)| section.as_table().is_some_and(|table| table.contains_key(name)))
        .map(|(section, _)| format!("[{section}]"))
        .collect();
    (!found.is_empty()).then(|| found.join(" or "))
}

fn sections() -> toml::Table {
    toml::Table::try_from(Config::default()).expect("the defaults are plain tables")
}

fn locate(tree: &Node, fault: Fault) -> Problem {
    let way = Way::parse(&fault.key);
    Problem { at: tree.nearest(&way.0).at.clone(), key: fault.key, message: fault.message, hint: fault.hint }
}

/// Makes paths that the file names relative to it, so that a server does not depend on where it was started.
fn resolve_paths(loaded: &mut Loaded, folder: Option<&Path>) {
    let Some(folder) = folder else { return };
    let from_file = |loaded: &Loaded, key: &str| matches!(loaded.origin(key), Origin::File { .. });
    if from_file(loaded, "data_dir") {
        loaded.config.data_dir.0 = folder.join(&loaded.config.data_dir.0);
    }
    let token = &mut loaded.config.token;
    let files = token.secrets.iter_mut().filter_map(|secret| secret.file.as_mut());
    let files = files.chain(token.pem.iter_mut().map(|pem| &mut pem.file));
    for file in files.chain(token.jwks.iter_mut().map(|jwks| &mut jwks.file)) {
        *file = folder.join(&*file);
    }
}

/// Faults that are told at once. More would not be read.
const MAX_PROBLEMS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str, variables: &[(&str, &str)], overrides: Vec<Override>) -> Result<Loaded, Error> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("portcullis.toml");
        fs::write(&file, text).unwrap();
        load_from(Some(file), variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())), overrides)
    }

    #[test]
    fn nothing_at_all_is_a_configuration() {
        let loaded = load_from(None, std::iter::empty(), Vec::new()).unwrap();
        assert_eq!(loaded.config.gateway.listen.to_string(), "127.0.0.1:8000");
        assert_eq!(loaded.origin("gateway.listen"), Origin::Default);
        assert_eq!(loaded.warnings, [""; 0]);
    }

    #[test]
    fn flags_go_over_the_environment_over_the_file() {
        let text = "[gateway]\nlisten = \"127.0.0.1:1\"\nadmin_listen = \"127.0.0.1:2\"\n[auth]\nlisten = \"127.0.0.1:3\"\n";
        let variables =
            [("PORTCULLIS_GATEWAY__LISTEN", "127.0.0.1:11"), ("PORTCULLIS_AUTH__LISTEN", "127.0.0.1:13")];
        let flag = Override::new("--listen", "gateway.listen", "127.0.0.1:21");
        let loaded = load_text(text, &variables, vec![flag]).unwrap();
        assert_eq!(loaded.config.gateway.listen.port(), 21);
        assert_eq!(loaded.config.auth.listen.port(), 13);
        assert_eq!(loaded.config.gateway.admin_listen.port(), 2);
        assert_eq!(loaded.origin("gateway.listen"), Origin::Flag("--listen"));
        assert_eq!(loaded.origin("auth.listen"), Origin::Env("PORTCULLIS_AUTH__LISTEN".into()));
        assert!(matches!(loaded.origin("gateway.admin_listen"), Origin::File { line: 3, column: 16, .. }));
    }

    #[test]
    fn variables_take_the_type_of_their_key() {
        let variables = [
            ("PORTCULLIS_AUTH__AUDIENCE", "123"),
            ("PORTCULLIS_DEV__ECHO", "true"),
            ("PORTCULLIS_LIMITS__CONNECTIONS", "17"),
            ("PORTCULLIS_HEARTBEAT__INTERVAL", "45s"),
            ("PORTCULLIS_TOKEN__ISSUERS", "https://a, https://b"),
            ("PORTCULLIS_TOKEN__AUDIENCES", "[\"x\"]"),
            ("PORTCULLIS_AUTH__TRUSTED_PROXIES", "10.0.0.7, 10.1.0.0/16"),
            ("PORTCULLIS_ENVIRONMENT", "testing"),
        ];
        let config = load_text("", &variables, Vec::new()).unwrap().config;
        assert_eq!(config.auth.audience, "123");
        assert!(config.dev.echo);
        assert_eq!(config.limits.connections, 17);
        assert_eq!(config.heartbeat.interval.as_secs(), 45);
        let issuers: Vec<&str> = config.token.issuers.iter().map(|issuer| issuer.name.as_str()).collect();
        assert_eq!(issuers, ["https://a", "https://b"]);
        assert_eq!(config.token.audiences, ["x"]);
        assert_eq!(config.auth.trusted_proxies.unwrap(), ["10.0.0.7", "10.1.0.0/16"]);
        assert_eq!(config.environment, super::super::settings::Environment::Testing);
    }

    #[test]
    fn what_kubernetes_sets_is_not_ours_and_a_slip_is_told() {
        let variables = [
            ("PORTCULLIS_PORT", "tcp://10.0.0.1:8000"),
            ("PORTCULLIS_PORT_8000_TCP_ADDR", "10.0.0.1"),
            ("PORTCULLIS_SERVICE_HOST", "10.0.0.1"),
            ("PORTCULLIS_GATEWAY_SERVICE_PORT", "8000"),
            ("PORTCULLIS_GATWAY__LISTEN", "127.0.0.1:1"),
        ];
        let loaded = load_text("", &variables, Vec::new()).unwrap();
        assert_eq!(
            loaded.warnings,
            ["PORTCULLIS_GATWAY__LISTEN is ignored: there is no section `gatway`; did you mean `gateway`?"]
        );
    }

    #[test]
    fn a_fault_in_a_variable_names_the_variable() {
        let error = load_text("", &[("PORTCULLIS_HEARTBEAT__INTERVAL", "30")], Vec::new()).unwrap_err();
        let Error::Problems(problems) = error else { panic!("{error}") };
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].to_string().starts_with("PORTCULLIS_HEARTBEAT__INTERVAL: heartbeat.interval: "),
            "{}",
            problems[0]
        );
    }

    #[test]
    fn paths_of_the_file_are_relative_to_it() {
        let text = "data_dir = \"data\"\n";
        let loaded = load_text(text, &[], Vec::new()).unwrap();
        assert!(loaded.config.data_dir.is_absolute() && loaded.config.data_dir.ends_with("data"));
        let flag = Override::new("--data-dir", "data_dir", "here");
        assert_eq!(&*load_text(text, &[], vec![flag]).unwrap().config.data_dir, Path::new("here"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_an_answer(text in "\\PC{0,60}(\n\\PC{0,30}){0,3}") {
            let _ = load_text(&text, &[], Vec::new());
        }

        #[test]
        fn any_key_is_an_answer(section in "(gateway|token|auth|log)", key in "[a-z_]{1,12}", value in "(1|true|\"x\"|\\[\\]|\\{\\})") {
            let _ = load_text(&format!("[{section}]\n{key} = {value}\n"), &[], Vec::new());
        }
    }
}
