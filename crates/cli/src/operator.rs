//! What the operator's side needs of the data directory and the accounts: the dashboard's key, and the account that the
//! golden-path probe logs in with.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use portcullis_auth::Handle;
use portcullis_gateway::ProbeAccount;
use portcullis_token::Secret;
use portcullis_units::random;

/// The account of the probe. A person has no use for it: its password is made anew at each start and told to nobody.
pub(crate) const PROBE: &str = "portcullis-probe";

/// The shortest key that is taken from a file that somebody else wrote.
const SHORTEST: usize = 24;

/// Where the dashboard's key is.
pub(crate) fn key_file(data_dir: &Path) -> PathBuf {
    data_dir.join("secrets").join("operator.key")
}

/// The dashboard's key, made at the first start and readable by its owner alone.
pub(crate) fn key(data_dir: &Path) -> anyhow::Result<Secret> {
    let file = key_file(data_dir);
    let folder = file.parent().expect("the file is in a folder");
    let told = |error: io::Error| {
        anyhow::Error::new(error).context(format!("cannot keep the operator's key in {}", file.display()))
    };
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(told(error)),
        Ok(()) | Err(_) => {}
    }
    if !file.exists() {
        write_new(&file, &Secret::generate()).map_err(told)?;
    }
    let text = fs::read_to_string(&file).map_err(told)?;
    let mode = fs::metadata(&file).map_err(told)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).map_err(told)?;
        tracing::warn!(
            "{} had mode {mode:03o}, so others on this machine may know it: remove it and start again for a new one",
            file.display()
        );
    }
    let text = text.trim();
    anyhow::ensure!(
        text.len() >= SHORTEST,
        "the operator's key in {} has fewer than {SHORTEST} characters; remove the file and a good one is made",
        file.display()
    );
    Ok(Secret::from(text))
}

/// Writes the key unless there is one by now, whole or not at all.
fn write_new(file: &Path, key: &Secret) -> io::Result<()> {
    let draft = file.with_extension(random::hex::<4>());
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    open.write_all(key.expose())?;
    open.write_all(b"\n")?;
    open.sync_all()?;
    // A link, unlike a rename, leaves alone what another process wrote meanwhile.
    let linked = match fs::hard_link(&draft, file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    };
    fs::remove_file(&draft)?;
    linked
}

/// The probe's account at the auth service that listens at `address`, with a password that only this process knows. Blocks
/// while it is hashed.
pub(crate) fn probe_account(auth: &Handle, address: SocketAddr) -> anyhow::Result<ProbeAccount> {
    let accounts = auth.accounts();
    let password = Secret::generate();
    let text = std::str::from_utf8(password.expose()).context("a generated password is text")?;
    let user = match accounts.find(PROBE)? {
        Some(_) => accounts.set_password(PROBE, text)?,
        None => accounts.add(PROBE, text)?,
    };
    let device_token = auth.device_token(&user.name).context("the probe's name is one")?;
    Ok(ProbeAccount { auth: address, name: user.name, password, device_token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = key(folder.path()).unwrap();
        assert_eq!(first.expose().len(), 43);
        assert_eq!(key(folder.path()).unwrap().expose(), first.expose());
        let file = key_file(folder.path());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "no draft is left");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        key(folder.path()).unwrap();
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn a_key_that_can_be_guessed_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        key(folder.path()).unwrap();
        fs::write(key_file(folder.path()), "admin\n").unwrap();
        let error = key(folder.path()).unwrap_err().to_string();
        assert!(error.contains("operator.key") && !error.contains("admin"), "{error}");
    }

    #[test]
    fn the_probe_has_one_account_and_a_new_password_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let setup = portcullis_auth::Setup::new(folder.path());
        let auth =
            portcullis_auth::Service::new(portcullis_auth::Options::default(), setup).unwrap().handle();
        let address = SocketAddr::from(([127, 0, 0, 1], 8081));
        let first = probe_account(&auth, address).unwrap();
        let second = probe_account(&auth, address).unwrap();
        assert_ne!(first.password.expose(), second.password.expose());
        assert_eq!(auth.accounts().list().unwrap().len(), 1);
    }
}
