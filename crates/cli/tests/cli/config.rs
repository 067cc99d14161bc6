use crate::Place;

const BAD: &[(&str, &str)] = &[
    ("no_toml", "[gateway\nlisten = \"127.0.0.1:0\"\n"),
    ("a_key_twice", "[gateway]\ndrain = \"5s\"\ndrain = \"6s\"\n"),
    ("misspelt_keys", "[gateway]\nlisen = \"127.0.0.1:0\"\n\n[heartbeet]\ninterval = \"5s\"\n"),
    ("a_key_in_the_wrong_place", "listen = \"127.0.0.1:0\"\n[gateway]\nmax_head_bytes = \"8 KiB\"\n"),
    (
        "values_without_units",
        "[heartbeat]\ninterval = 30\ntimeout = \"30\"\n[limits]\nmessage_bytes = 65536\n",
    ),
    (
        "wrong_types",
        "[gateway]\nlisten = \"localhost\"\nallowed_origins = \"https://a.example\"\n[limits]\nhandshake_burst = 0\nconnections = -1\n",
    ),
    (
        "unknown_names",
        "environment = \"prod\"\n[handshake]\nclose_codes = \"aplication\"\n[log]\nformat = \"yaml\"\n",
    ),
    (
        "rules",
        "[gateway]\nlisten = \"127.0.0.1:8081\"\nallowed_origins = [\"https://a.example/path\"]\n[heartbeat]\ninterval = \"0s\"\n[token]\nleeway = \"5m\"\n[auth]\naccess_ttl = \"1s\"\n[log]\nlevel = \"a=b=c\"\n",
    ),
    (
        "a_secret_in_the_configuration",
        "[[token.secrets]]\n[[token.secrets]]\nkid = \"a\"\nfile = \"missing.key\"\n[[token.secrets]]\nkid = \"b\"\nfile = \"weak.key\"\nenv = \"X\"\n[[token.secrets]]\nkid = \"c\"\nenv = \"NOT_SET\"\n[[token.secrets]]\nkid = \"d\"\nvalue = \"never here\"\n",
    ),
    (
        "secrets",
        "[[token.secrets]]\n[[token.secrets]]\nkid = \"a\"\nfile = \"missing.key\"\n[[token.secrets]]\nkid = \"b\"\nfile = \"weak.key\"\nenv = \"X\"\n[[token.secrets]]\nkid = \"c\"\nenv = \"NOT_SET\"\n",
    ),
    (
        "algorithms",
        "[[token.secrets]]\nfile = \"weak.key\"\nalgorithms = [\"RS256\"]\n[[token.pem]]\nfile = \"weak.key\"\n",
    ),
    ("production", "environment = \"production\"\n[[token.secrets]]\nfile = \"weak.key\"\n"),
    (
        "agents",
        "[[agents]]\nname = \"a b\"\nkind = \"doctor\"\n[[agents]]\nname = \"c\"\nkind = \"oracle\"\nkeeps = \"al\"\n[[agents]]\nname = \"d\"\nkeep = \"all\"\n",
    ),
    (
        "agents_of_one_name",
        "[[agents]]\nname = \"a\"\nkind = \"doctor\"\n[[agents]]\nname = \"a\"\nkind = \"doctor\"\nkeeps = \"all\"\n",
    ),
    ("no_keys", "[auth]\nenabled = false\n"),
    (
        "issuers",
        "[token]\nissuers = [\"https://a\", { name = \"https://b\", algorithms = [\"RS256\"] }, \"https://a\", \"\"]\n[[token.jwks]]\nfile = \"provider.json\"\nissuer = \"portcullis\"\n[[token.jwks]]\nfile = \"provider.json\"\nissuer = \"https://b\"\n[[token.jwks]]\nfile = \"provider.json\"\nissuer = \"https://c\"\n",
    ),
    (
        "misspelt_issuers",
        "[[token.issuers]]\nname = \"https://a\"\naudience = [\"x\"]\n[[token.issuers]]\naudiences = [\"x\"]\n[[token.issuers]]\nname = 7\n",
    ),
];

#[test]
fn faults_name_the_place_the_key_and_the_way_out() {
    for (name, text) in BAD {
        let place = Place::new();
        place.write("portcullis.toml", text).write("weak.key", "changeme-changeme-changeme-changeme");
        place.write("provider.json", PROVIDER);
        let ran = place.run(&["config", "check", "portcullis.toml"]).ended(1);
        assert!(!ran.stdout.contains("changeme"), "{}", ran.stdout);
        insta::assert_snapshot!(*name, format!("{text}---\n{}", ran.stdout));
    }
}

/// The last line but that on open files.
fn verdict(stdout: &str) -> &str {
    let (first, files) = stdout.split_once('\n').unwrap();
    assert!(files.starts_with("  of ") && files.contains(" open files "), "{stdout}");
    first
}

#[test]
fn a_good_one_is_good() {
    let place = Place::new();
    place.write("portcullis.toml", "[gateway]\nlisten = \"127.0.0.1:0\"\n[auth]\nlisten = \"127.0.0.1:0\"\n");
    let ran = place.run(&["config", "check", "portcullis.toml"]).ended(0);
    assert_eq!(verdict(&ran.stdout), "✓ the configuration is good");
    let mut json = place.run(&["config", "check", "portcullis.toml", "--format", "json"]).ended(0).json();
    let files = json.as_object_mut().unwrap().remove("descriptors").unwrap();
    assert_eq!(json, serde_json::json!({"ok": true, "problems": [], "warnings": []}));
    for (name, most) in [("connections", 100_000), ("auth_connections", 512), ("reserve", 448)] {
        assert!((1..=most).contains(&files[name].as_u64().unwrap()), "{name}: {files}");
        assert!(ran.stdout.contains(&files[name].to_string()), "{name}: {}", ran.stdout);
    }
    place.run(&["config", "check"]).ended(0);
}

#[test]
fn weak_secrets_warn_in_development() {
    let place = Place::new();
    place.write("portcullis.toml", "[[token.secrets]]\nfile = \"weak.key\"\n").write("weak.key", "secret");
    let ran = place.run(&["config", "check", "portcullis.toml"]).ended(0);
    assert!(ran.stdout.contains("! token.secrets[0]: the secret is a sample value"), "{}", ran.stdout);
}

/// The keys of an identity provider: an example from RFC 7517 §A.1.
const PROVIDER: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

#[test]
fn keys_without_an_issuer_stop_strict_environments_and_warn_the_others() {
    let signs = "[[token.secrets]]\nkid = \"a\"\nfile = \"signing.key\"\n";
    let key_set = "[[token.jwks]]\nfile = \"provider.json\"\n";
    let named = "[[token.jwks]]\nfile = \"provider.json\"\nissuer = \"https://id.example\"\n";
    let other = "[[token.secrets]]\nkid = \"b\"\nfile = \"other.key\"\n";
    let away = "[auth]\nenabled = false\n";
    let listed = "[token]\nissuers = [\"https://id.example\"]\n";
    for (name, text, doubtful) in [
        ("a key set beside the auth service", key_set.to_owned(), Some("token.jwks[0]")),
        ("the same with its issuer listed", format!("{listed}{key_set}"), Some("token.jwks[0]")),
        ("the same beside a secret that signs", format!("{signs}{key_set}"), Some("token.jwks[0]")),
        ("a second secret", format!("{signs}{other}"), Some("token.secrets[1]")),
        (
            "a secret that does not sign",
            format!("{other}algorithms = [\"HS512\"]\n"),
            Some("token.secrets[0]"),
        ),
        ("beside keys that name theirs", format!("{away}{named}{key_set}"), Some("token.jwks[1]")),
        ("two providers", format!("{away}{key_set}{key_set}"), Some("token.jwks[0]")),
        ("a key set that names its issuer", named.to_owned(), None),
        ("a secret that signs, and a named key set", format!("{signs}{named}"), None),
        ("a key set alone", format!("{away}{key_set}"), None),
        ("a key set and its listed issuer", format!("{away}{listed}{key_set}"), None),
        (
            "a second secret that names the auth service",
            format!("{signs}{other}issuer = \"portcullis\"\n"),
            None,
        ),
    ] {
        for environment in ["development", "testing", "staging", "production"] {
            let place = Place::new();
            place.write("provider.json", PROVIDER);
            place.write("signing.key", "q7Rt0-Zx3VbKfLmWpYcN8sHdUeJgA5oTi2");
            place.write("other.key", "Wm7Ks9Pd2Yb4Nc6HfQm7tR2x-0uTj3Vq8Zr5Lx1-aG5hJ8kL2zX4cV6bN9mQ3wE7rT");
            let head = format!("environment = \"{environment}\"\ndata_dir = \"data\"\n");
            place.write("portcullis.toml", &format!("{head}{text}"));
            let strict = matches!(environment, "staging" | "production");
            let refused = strict && doubtful.is_some();
            let ran = place.run(&["config", "check", "portcullis.toml"]).ended(i32::from(refused));
            let told = ran.stdout.contains("names no issuer");
            assert_eq!(told, doubtful.is_some(), "{name} in {environment}: {}", ran.stdout);
            if let Some(key) = doubtful {
                assert!(
                    ran.stdout.contains(&format!("{key}{}names no issuer", if refused { ": " } else { " " }))
                );
                assert!(ran.stdout.contains("say whose tokens it verifies: issuer = \""), "{}", ran.stdout);
            }
            let json = place.run(&["config", "check", "portcullis.toml", "--format", "json"]);
            assert_eq!(json.ended(i32::from(refused)).json()["ok"], !refused, "{name} in {environment}");
            if refused {
                let served = place.run(&["serve", "--config", "portcullis.toml"]).ended(3);
                assert!(served.stderr.contains("names no issuer"), "{}", served.stderr);
                assert!(!place.path("data").exists());
            }
        }
    }
}

#[test]
fn issuers_may_be_texts_or_tables() {
    let place = Place::new();
    let rules = "audiences = [\"chat\"], scopes_claim = \"permissions\", algorithms = [\"ES256\"]";
    place.write("provider.json", PROVIDER).write(
        "portcullis.toml",
        &format!(
            "[auth]\nenabled = false\n[token]\nissuers = [\"https://a\", {{ name = \"https://b\", {rules} }}]\n\
             [[token.jwks]]\nfile = \"provider.json\"\n"
        ),
    );
    let ran = place.run(&["config", "check", "portcullis.toml"]).ended(0);
    assert_eq!(verdict(&ran.stdout), "✓ the configuration is good");
    let shown = place.run(&["config", "show", "portcullis.toml", "--format", "json"]).ended(0).json();
    let table = serde_json::json!({
        "name": "https://b", "audiences": ["chat"], "scopes_claim": "permissions", "algorithms": ["ES256"],
    });
    assert_eq!(shown["config"]["token"]["issuers"], serde_json::json!(["https://a", table]));
}

#[test]
fn a_proxy_before_the_auth_service_has_to_be_named() {
    for (gateway, auth, warned) in [
        ("auth_url = \"https://chat.example.com\"", "", true),
        ("auth_url = \"http://chat.example.com:8080\"", "", true),
        ("auth_url = \"https://chat.example.com\"\ntrusted_proxies = [\"127.0.0.1\"]", "", false),
        ("auth_url = \"https://chat.example.com\"", "trusted_proxies = [\"10.0.0.7\"]", false),
        (
            "auth_url = \"https://chat.example.com\"\ntrusted_proxies = [\"10.0.0.7\"]",
            "trusted_proxies = []",
            true,
        ),
        ("auth_url = \"https://chat.example.com\"", "enabled = false", false),
        ("auth_url = \"http://127.0.0.1:8081\"", "", false),
        ("auth_url = \"http://[::1]:8081\"", "", false),
        ("auth_url = \"http://localhost:8081\"", "", false),
        ("auth_url = \"http://10.0.0.1:8081\"", "listen = \"10.0.0.1:8081\"", false),
        ("", "", false),
    ] {
        let place = Place::new();
        let key = if auth.contains("enabled") { "[[token.secrets]]\nfile = \"secret.key\"\n" } else { "" };
        place.write("secret.key", "q7Rt0-Zx3VbKfLmWpYcN8sHdUeJgA5oTi2");
        place.write("portcullis.toml", &format!("[gateway]\n{gateway}\n[auth]\n{auth}\n{key}"));
        let ran = place.run(&["config", "check", "portcullis.toml"]).ended(0);
        assert_eq!(ran.stdout.contains("no proxy is named"), warned, "{gateway} {auth}: {}", ran.stdout);
    }
}

#[test]
fn a_missing_file_could_not_run() {
    let ran = Place::new().run(&["config", "check", "nowhere.toml"]).ended(3);
    assert_eq!(
        ran.stderr,
        "error: cannot read the configuration nowhere.toml: No such file or directory (os error 2)\n"
    );
}

#[test]
fn a_server_does_not_start_with_faults() {
    let place = Place::new();
    place.write("portcullis.toml", "[gateway]\nlisen = \"127.0.0.1:0\"\n");
    let ran = place.run(&["serve", "--config", "portcullis.toml"]).ended(3);
    assert_eq!(
        ran.stderr,
        "error: the configuration has a fault:\nportcullis.toml:2:1: gateway.lisen: unknown field `lisen`\n  hint: did you mean `listen`?\n"
    );
    assert!(!place.path(".portcullis").exists());
}

#[test]
fn show_tells_values_and_sources() {
    let place = Place::new()
        .variable("PORTCULLIS_HEARTBEAT__INTERVAL", "40s")
        .variable("PORTCULLIS_CONFIG", "portcullis.toml");
    place.write("secret.key", "q7Rt0-Zx3VbKfLmWpYcN8sHdUeJgA5oTi2").write(
        "portcullis.toml",
        "[gateway]\nlisten = \"127.0.0.1:7000\"\n[[token.secrets]]\nkid = \"a\"\nfile = \"secret.key\"\n",
    );
    let ran = place.run(&["config", "show"]).ended(0);
    assert!(!ran.stdout.contains("q7Rt0"), "secrets are not shown");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let line = |start: &str| *lines.iter().find(|line| line.starts_with(start)).unwrap();
    assert!(
        line("gateway.listen = \"127.0.0.1:7000\"").ends_with("# portcullis.toml:2:10"),
        "{}",
        ran.stdout
    );
    assert!(
        line("heartbeat.interval = \"40s\"").ends_with("# PORTCULLIS_HEARTBEAT__INTERVAL"),
        "{}",
        ran.stdout
    );
    assert!(line("heartbeat.timeout = ").ends_with("# default"), "{}", ran.stdout);
    // What is shown is a configuration that can be used.
    place.write("shown.toml", &ran.stdout);
    place.run(&["config", "check", "shown.toml"]).ended(0);

    let json = place.run(&["config", "show", "--format", "json"]).ended(0).json();
    assert_eq!(json["config"]["gateway"]["listen"], "127.0.0.1:7000");
    assert_eq!(json["sources"]["heartbeat.interval"], "PORTCULLIS_HEARTBEAT__INTERVAL");
    assert_eq!(json["sources"].as_object().unwrap().get("heartbeat.timeout"), None);
}

#[test]
fn the_schema_knows_every_setting() {
    let place = Place::new();
    let schema = place.run(&["config", "schema"]).ended(0).json();
    let shown = place.run(&["config", "show", "--format", "json"]).ended(0).json();
    for section in shown["config"].as_object().unwrap().keys() {
        let property = &schema["properties"][section];
        let described = property["description"].as_str().or_else(|| {
            let name = property["$ref"].as_str()?.strip_prefix("#/$defs/")?;
            schema["$defs"][name]["description"].as_str()
        });
        assert!(described.is_some_and(|text| !text.is_empty()), "{section}: {property}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

/// The pages in the repository are what the commands print.
#[test]
fn the_references_are_current() {
    for (page, command) in [
        ("configuration.md", &["config", "schema", "--markdown"][..]),
        ("check-cases.md", &["reference", "check"]),
        ("cli.md", &["reference", "cli"]),
        ("metrics.md", &["reference", "metrics"]),
    ] {
        let printed = Place::new().run(command).ended(0).stdout;
        let file = format!("{}/../../docs/{page}", env!("CARGO_MANIFEST_DIR"));
        let written = std::fs::read_to_string(file).unwrap_or_default();
        let command = command.join(" ");
        assert!(
            printed == written,
            "docs/{page} is stale: cargo run -p portcullis-cli -- {command} > docs/{page}"
        );
    }
}

#[test]
fn the_reference_names_every_setting() {
    let place = Place::new();
    let printed = place.run(&["config", "schema", "--markdown"]).ended(0).stdout;
    for line in place.run(&["config", "show"]).ended(0).stdout.lines() {
        let key = line.split(" = ").next().unwrap();
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        // A list of tables has a section of its own.
        let tables = printed.contains(&format!("## `[[{key}]]`"));
        let section_at =
            if section.is_empty() { 0 } else { printed.find(&format!("# `[{section}]`")).expect(key) };
        assert!(tables || printed[section_at..].contains(&format!("| `{name}` |")), "{key}");
    }
}

/// What the documentation shows is what the program takes. Files and variables that the examples name are there.
#[test]
fn the_configurations_in_the_documentation_pass() {
    let mut seen = 0;
    for page in ["README.md", "docs/deployment.md", "docs/howto/fastapi.md", "docs/howto/cloud-run.md"] {
        let text = std::fs::read_to_string(format!("{}/../../{page}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let shown =
                block.split("```").next().unwrap().replace("/etc/portcullis-keys/jwks.json", "idp-keys.json");
            let place =
                Place::new().variable("JWT_SECRET", "5f0c8a1e94b7d263c1a90e7f4d8b6325e7b1d0946fa2c835");
            place.write("idp-keys.json", PUBLIC_KEYS).write("shown.toml", &shown);
            let report = place.run(&["config", "check", "shown.toml"]);
            assert_eq!(report.code, 0, "{page}:\n{shown}\n{}", report.report());
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen} configurations are shown");
}

/// RFC 7517, appendix A.1.
const PUBLIC_KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"1"}]}"#;
