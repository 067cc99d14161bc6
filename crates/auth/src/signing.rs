//! The key that signs access tokens.

use std::{fs, io, path::Path, sync::Arc};

use portcullis_token::{Issuer, KeySet, Policy, Secret, Signer, Verifier};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{Error, files};

/// A secret shared with the gateway, for deployments that sign HS256.
#[derive(Clone, Debug)]
pub struct SharedSecret {
    /// The `kid` of tokens signed with it, if they carry one.
    pub kid: Option<String>,
    /// The secret itself.
    pub secret: Secret,
}

impl SharedSecret {
    /// Takes the secret and its key id.
    pub fn new(kid: Option<String>, secret: Secret) -> Self {
        Self { kid, secret }
    }
}

/// What signs access tokens: ES256 with a key of our own, or HS256 with a shared secret. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Signing {
    signer: Signer,
    jwks: Value,
    /// Knows our own access tokens again.
    verifier: Arc<Verifier>,
}

impl Signing {
    /// Reads `<data_dir>/keys/auth-es256.pem`, or makes it (mode 0600); with a `secret`, uses that and touches no file.
    ///
    /// Two processes that start at once end up with the same key.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Key`].
    pub fn open(data_dir: &Path, secret: Option<&SharedSecret>) -> Result<Self, Error> {
        if let Some(SharedSecret { kid, secret }) = secret {
            let path = data_dir.to_owned();
            let signer =
                Signer::hs256(kid.as_deref(), secret).map_err(|source| Error::Key { path, source })?;
            return Ok(Self::new(signer));
        }
        let path = data_dir.join("keys").join("auth-es256.pem");
        let file_error = |source| Error::File { path: path.clone(), source };
        let key_error = |source| Error::Key { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            files::private_folder(folder).map_err(file_error)?;
        }
        if let Some(signer) = read(&path).map_err(file_error)? {
            return Signer::es256_from_pem(&signer).map(Self::new).map_err(key_error);
        }
        let fresh = Signer::generate_es256().map_err(key_error)?;
        let pem = fresh.to_pem().expect("an ES256 key has a PEM form");
        if files::write_new(&path, pem.as_bytes()).map_err(file_error)? {
            return Ok(Self::new(fresh));
        }
        let other = fs::read_to_string(&path).map(Zeroizing::new).map_err(file_error)?;
        Signer::es256_from_pem(&other).map(Self::new).map_err(key_error)
    }

    fn new(signer: Signer) -> Self {
        let jwks = signer.jwks();
        // Its length was the operator's choice, and was judged where the gateway's keys are.
        let mut keys = KeySet::new().allow_short_secrets();
        keys.add_signer(&signer).expect("what signs can verify");
        // For whom they are is the gateway's to ask.
        let own = Issuer { any_audience: true, ..Issuer::unnamed(keys) };
        let verifier = Arc::new(Verifier::new([own], Policy::default(), 0));
        Self { signer, jwks, verifier }
    }

    /// The login that one of our access tokens belongs to, while the token is good.
    pub(crate) fn session_of(&self, token: &str, now: u64) -> Option<String> {
        self.verifier.verify(token, now).ok()?.session().map(ToOwned::to_owned)
    }

    /// Signs an access token (`typ` `at+jwt`, RFC 9068 §2.1).
    pub fn sign(&self, claims: &Map<String, Value>) -> String {
        self.signer.sign(claims)
    }

    /// The public keys as a JWK set (RFC 7517 §5); empty for a shared secret, which is nobody's business.
    pub const fn jwks(&self) -> &Value {
        &self.jwks
    }

    /// The signer itself, for the key set that verifies what it signs.
    pub const fn signer(&self) -> &Signer {
        &self.signer
    }
}

/// The file's text, after closing it to others; none if there is no file.
fn read(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    match fs::File::open(path) {
        Ok(file) => {
            files::restrict(&file)?;
            fs::read_to_string(path).map(|text| Some(Zeroizing::new(text)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let first = Signing::open(folder.path(), None).unwrap();
        let again = Signing::open(folder.path(), None).unwrap();
        assert_eq!(first.jwks(), again.jwks());
        let keys = first.jwks()["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!((&keys[0]["kty"], &keys[0]["crv"]), (&"EC".into(), &"P-256".into()));
        assert!(keys[0].get("d").is_none(), "the private part stays here");
    }

    #[test]
    fn starters_at_once_agree_on_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let sets: Vec<Value> = std::thread::scope(|scope| {
            let starters: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Signing::open(folder.path(), None).unwrap().jwks().clone()))
                .collect();
            starters.into_iter().map(|starter| starter.join().unwrap()).collect()
        });
        assert!(sets.iter().all(|set| set == &sets[0]));
    }

    #[test]
    fn a_shared_secret_publishes_nothing_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let secret = SharedSecret::new(Some("main".into()), Secret::generate());
        let signing = Signing::open(folder.path(), Some(&secret)).unwrap();
        assert_eq!(signing.jwks(), &serde_json::json!({ "keys": [] }));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_broken_key_file_stops_the_start_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/auth-es256.pem");
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, "not a key").unwrap();
        assert!(matches!(Signing::open(folder.path(), None), Err(Error::Key { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "not a key");
    }

    #[cfg(unix)]
    #[test]
    fn the_key_file_is_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        Signing::open(folder.path(), None).unwrap();
        let path = folder.path().join("keys/auth-es256.pem");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        Signing::open(folder.path(), None).unwrap();
        assert_eq!(mode(), 0o600);
    }
}
