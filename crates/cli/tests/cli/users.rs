use crate::{Place, mode};

/// Hashes are made cheap, as `auth.passwords` allows: these tests are about accounts.
fn place() -> Place {
    Place::new()
        .variable("PORTCULLIS_AUTH__PASSWORDS__MEMORY", "64 KiB")
        .variable("PORTCULLIS_AUTH__PASSWORDS__PASSES", "1")
}

#[test]
fn the_life_of_an_account() {
    let place = place();
    let users = |args: &[&str], input: &str| place.run_with(&[&["users"], args].concat(), input);
    assert_eq!(
        users(&["list"], "").ended(0).stdout,
        "There are no accounts yet: portcullis users add NAME\n"
    );

    let added = users(&["add", "ada", "--password-stdin"], "correct horse\n").ended(0);
    assert_eq!(added.stdout, "✓ ada added\n");
    assert_eq!(mode(&place.path(".portcullis")), 0o700);
    assert_eq!(mode(&place.path(".portcullis/accounts.sqlite3")), 0o600);

    let generated = users(&["add", "grace", "--generate", "--format", "json"], "").ended(0).json();
    assert_eq!(generated["name"], "grace");
    assert_eq!(generated["password"].as_str().unwrap().len(), 22);

    let again = users(&["add", "ada", "--password-stdin"], "correct horse\n").ended(1);
    assert_eq!(again.stderr, "error: there is already an account of that name\n");

    users(&["disable", "ada"], "").ended(0);
    let list = users(&["list", "--format", "json"], "").ended(0).json();
    let states: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|user| (user["name"].as_str().unwrap(), user["enabled"].as_bool().unwrap()))
        .collect();
    assert_eq!(states, [("ada", false), ("grace", true)]);
    let table = users(&["list"], "").ended(0).stdout;
    assert!(
        table
            .lines()
            .any(|line| line.starts_with("ada ") && line.contains("disabled") && line.contains("never")),
        "{table}"
    );
    users(&["enable", "ada"], "").ended(0);
    assert_eq!(users(&["list", "--format", "json"], "").ended(0).json()[0]["enabled"], true);

    let changed = users(&["passwd", "ada", "--generate"], "").ended(0).stdout;
    assert!(changed.starts_with("✓ ada has a new password\n  password: "), "{changed}");
    assert!(!users(&["list", "--format", "json"], "").ended(0).stdout.contains("argon2"), "no hash is shown");
}

#[test]
fn what_cannot_be_exits_with_1() {
    let place = place();
    for (args, input, expected) in [
        (&["passwd", "nobody", "--generate"][..], "", "error: there is no account of that name\n"),
        (&["disable", "nobody"], "", "error: there is no account of that name\n"),
        (
            &["add", "ada", "--password-stdin"],
            "short\n",
            "error: a password has 8 to 1024 bytes, this one has 5\n",
        ),
    ] {
        assert_eq!(place.run_with(&[&["users"], args].concat(), input).ended(1).stderr, expected, "{args:?}");
    }
    place.run(&["users", "add", "", "--generate"]).ended(1);
}
