//! Folders that are not ours, or that others could have put something into.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};

use portcullis_log::Durability;
use portcullis_log_fjall::{Embedded, Error};
use rustix::fs::{Gid, Uid};

use crate::support::{Heard, commit, event, open, opened, options, seqs};

fn fails(path: &Path) -> Error {
    Embedded::open(path, options(Durability::Device, &Heard::default())).unwrap_err()
}

#[test]
fn a_strange_folder_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();

    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(foreign.join("holiday.jpg"), "x").unwrap();
    assert!(matches!(fails(&foreign), Error::Foreign { .. }));
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1, "nothing was added");

    let later = folder.path().join("later");
    drop(open(&later));
    fs::write(later.join("portcullis-events"), "99\n").unwrap();
    let error = fails(&later);
    assert!(matches!(error, Error::TooNew { found: 99, known: 2, .. }), "{error}");
    for text in ["?\n", "0\n", ""] {
        fs::write(later.join("portcullis-events"), text).unwrap();
        assert!(matches!(fails(&later), Error::Damaged { .. }), "{text:?}");
    }

    // A first start that was cut off before the mark was whole.
    let cut_off = folder.path().join("cut-off");
    fs::create_dir(&cut_off).unwrap();
    fs::set_permissions(&cut_off, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(cut_off.join("portcullis-events"), "").unwrap();
    drop(open(&cut_off));
    drop(open(&cut_off));

    let used = folder.path().join("used");
    let _first = open(&used);
    let error = fails(&used);
    assert!(matches!(error, Error::InUse { .. }) && error.to_string().contains("another process"), "{error}");

    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(fails(&file), Error::Unusable { .. }));
}

#[test]
fn a_folder_that_others_may_write_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    drop(open(&path));
    for mode in [0o720, 0o702, 0o777, 0o1777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = fails(&path);
        assert!(matches!(&error, Error::Exposed { .. }) && error.to_string().contains("chmod"), "{error}");
    }
    // To read is not to write.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    drop(open(&path));
    for name in ["state", "keys", "reserve", "tables"] {
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(fails(&path), Error::Exposed { .. }), "{name}");
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o700)).unwrap();
    }
    drop(open(&path));
}

/// Only root can give a folder to another; who is not has nobody else's.
#[test]
fn a_folder_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let nobody = |path: &Path| {
        rustix::fs::chown(path, Some(Uid::from_raw(65_534)), Some(Gid::from_raw(65_534))).unwrap();
    };
    let planted = folder.path().join("planted");
    fs::create_dir(&planted).unwrap();
    fs::set_permissions(&planted, fs::Permissions::from_mode(0o700)).unwrap();
    nobody(&planted);
    let error = fails(&planted);
    assert!(matches!(&error, Error::Exposed { .. }) && error.to_string().contains("65534"), "{error}");
    assert_eq!(fs::read_dir(&planted).unwrap().count(), 0, "nothing was added");
    // Nor is what another put into a folder of ours.
    for name in ["portcullis-events", "state", "keys", "reserve", "tables"] {
        let path = folder.path().join("events");
        drop(open(&path));
        nobody(&path.join(name));
        assert!(matches!(fails(&path), Error::Exposed { .. }), "{name}");
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join("precious");
    for name in ["portcullis-events", "state", "keys", "reserve", "tables", "tables/lock", "tables/0.jnl"] {
        let path = folder.path().join("events");
        drop(open(&path));
        let (aside, link) = (folder.path().join("aside"), path.join(name));
        fs::rename(&link, &aside).unwrap();
        let target = if aside.is_dir() { &aside } else { &precious };
        fs::write(&precious, "2\n").unwrap();
        fs::set_permissions(&precious, fs::Permissions::from_mode(0o644)).unwrap();
        symlink(target, &link).unwrap();
        let error = fails(&path);
        assert!(
            matches!(&error, Error::Exposed { .. }) && error.to_string().contains("link"),
            "{name}: {error}"
        );
        assert_eq!(fs::read_to_string(&precious).unwrap(), "2\n", "{name}");
        assert_eq!(fs::metadata(&precious).unwrap().mode() & 0o777, 0o644, "{name}");
        fs::remove_dir_all(&path).unwrap();
        if aside.is_dir() { fs::remove_dir_all(&aside) } else { fs::remove_file(&aside) }.unwrap();
    }
}

/// Our own files are for us alone, and the database's stand in a folder that is.
#[test]
fn nobody_else_can_read_what_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let log = open(&path);
    commit(&opened(&log, "ann"), event("t", "e", 1, "x"));
    let mode = |name: &str| fs::metadata(path.join(name)).unwrap().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for name in ["portcullis-events", "state", "keys", "reserve"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_eq!(mode("tables"), 0o700);
    drop(log);
    // What somebody made readable is made ours again.
    for name in ["", "tables", "keys"] {
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let log = open(&path);
    assert_eq!((mode("tables"), mode("keys")), (0o700, 0o600));
    assert_eq!(seqs(&opened(&log, "ann"), "t"), Some((1, 1)));
}
