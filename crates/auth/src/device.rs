//! Device tokens: what a device shows that has logged in before.
//!
//! A token opens nothing. It gives whoever has it attempts of their own at the one name that it was made for, so that
//! strangers who try that name cannot use up its owner's. So it is checked without the database, before anything is
//! spent on the request.

use std::{fs, path::Path, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{Error, files, random};

/// What marks a device token, so that people and secret scanners know one when they see it.
const PREFIX: &str = "pcd_";
/// How long a device is known after its last login. Browsers keep a cookie no longer than that (RFC 6265bis §5.5).
pub(crate) const LIFETIME: Duration = Duration::from_hours(400 * 24);

/// Names a device of one account; random.
pub(crate) type DeviceId = [u8; 16];

const ID: usize = size_of::<DeviceId>();
const TIME: usize = size_of::<u64>();
const TAG: usize = 32;

/// Makes and checks device tokens.
pub(crate) struct Devices(hmac::Key);

impl Devices {
    /// Reads `<data_dir>/keys/devices.key`, or makes it (mode 0600).
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("keys").join("devices.key");
        let read = || {
            if let Some(folder) = path.parent() {
                files::private_folder(folder)?;
            }
            let fresh = Zeroizing::new(URL_SAFE_NO_PAD.encode(random::<32>()));
            if !path.exists() && files::write_new(&path, fresh.as_bytes())? {
                return Ok(fresh);
            }
            files::restrict(&fs::File::open(&path)?)?;
            fs::read_to_string(&path).map(Zeroizing::new)
        };
        let text = read().map_err(|source| Error::File { path: path.clone(), source })?;
        if text.trim().len() < 43 {
            let source = std::io::Error::other("it is too short; remove it and a good one is made");
            return Err(Error::File { path, source });
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, text.trim().as_bytes())))
    }

    /// A token for a device of the account whose name has this key form, good from `now` (seconds since the epoch) on.
    pub(crate) fn issue(&self, name: &str, id: DeviceId, now: u64) -> String {
        let mut bytes = [0; ID + TIME + TAG];
        bytes[..ID].copy_from_slice(&id);
        bytes[ID..ID + TIME].copy_from_slice(&now.to_be_bytes());
        let tag = self.tag(name, &bytes[..ID + TIME]);
        bytes[ID + TIME..].copy_from_slice(tag.as_ref());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The device of that account that a token names; none for a token that is not ours, another account's or too old.
    pub(crate) fn check(&self, name: &str, token: &str, now: u64) -> Option<DeviceId> {
        let bytes: [u8; ID + TIME + TAG] =
            URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?.try_into().ok()?;
        let (claim, tag) = bytes.split_at(ID + TIME);
        hmac::verify(&self.0, &message(name, claim), tag).ok()?;
        let (id, made) = claim.split_at(ID);
        let made = u64::from_be_bytes(made.try_into().ok()?);
        // A time ahead of ours: the clock was set back since.
        (now.saturating_sub(made) < LIFETIME.as_secs()).then(|| id.try_into().ok())?
    }

    fn tag(&self, name: &str, claim: &[u8]) -> hmac::Tag {
        hmac::sign(&self.0, &message(name, claim))
    }
}

/// The claim has a fixed length and comes first, so no two pairs make one message.
fn message(name: &str, claim: &[u8]) -> Vec<u8> {
    [claim, name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    #[test]
    fn a_token_is_good_for_its_name_and_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let devices = Devices::open(folder.path()).unwrap();
        let token = devices.issue("ada", [7; 16], NOW);
        let end = NOW + LIFETIME.as_secs();
        for (name, now, good) in [
            ("ada", NOW, true),
            ("ada", end - 1, true),
            ("ada", end, false),
            ("ada", NOW - 7_200, true),
            ("Ada", NOW, false),
            ("bob", NOW, false),
            ("", NOW, false),
        ] {
            assert_eq!(devices.check(name, &token, now), good.then_some([7; 16]), "{name} {now}");
        }
        // It is known after a restart, and with another key it is not.
        assert!(Devices::open(folder.path()).unwrap().check("ada", &token, NOW).is_some());
        let other = tempfile::tempdir().unwrap();
        assert!(Devices::open(other.path()).unwrap().check("ada", &token, NOW).is_none());
    }

    #[test]
    fn no_byte_of_it_can_be_changed() {
        let folder = tempfile::tempdir().unwrap();
        let devices = Devices::open(folder.path()).unwrap();
        let token = devices.issue("ada", [7; 16], NOW);
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(devices.check("ada", &changed, NOW), None, "{changed}");
        }
        for text in
            ["", "pcd_", &token[..token.len() - 1], &format!("{token}A"), &format!(" {token}"), "pcr_x"]
        {
            assert_eq!(devices.check("ada", text, NOW), None, "{text}");
        }
    }

    #[test]
    fn a_key_that_was_cut_off_is_told() {
        let folder = tempfile::tempdir().unwrap();
        Devices::open(folder.path()).unwrap();
        fs::write(folder.path().join("keys/devices.key"), "short").unwrap();
        assert!(matches!(Devices::open(folder.path()), Err(Error::File { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn the_key_file_is_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        Devices::open(folder.path()).unwrap();
        let path = folder.path().join("keys/devices.key");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        Devices::open(folder.path()).unwrap();
        assert_eq!(mode(), 0o600);
    }
}
