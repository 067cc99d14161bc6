//! What a user may be told about refusals of their own.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use portcullis_reason::Reason;

/// Refusals that are kept, of all users together.
const KEPT: usize = 1_000;

/// Refusals that one question is answered with.
const ANSWERED: usize = 24;

/// One refused handshake whose token was validly signed for its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRefusal {
    /// When, in seconds since 1970.
    pub at: u64,
    /// Why.
    pub reason: Reason,
    /// Names the occurrence in the log.
    pub request_id: String,
    /// How the credential was sent.
    pub form: Option<&'static str>,
}

/// The last refusals that are known to be somebody's own, by the subject of the token. Bounded; clones share it.
///
/// A name that a token only claims counts for nothing: whoever could write into it could plant lines in another user's
/// answers.
#[derive(Clone, Debug, Default)]
pub struct OwnRefusals(Arc<Mutex<VecDeque<Owned>>>);

/// A refusal and its subject.
type Owned = (Box<str>, OwnRefusal);

impl OwnRefusals {
    /// The refusals of `subject`, newest first, two dozen at most.
    pub fn of(&self, subject: &str) -> Vec<OwnRefusal> {
        let refusals = self.0.lock();
        let own = refusals.iter().filter(|(owner, _)| **owner == *subject);
        own.map(|(_, refusal)| refusal.clone()).take(ANSWERED).collect()
    }

    pub(crate) fn add(&self, subject: &str, refusal: OwnRefusal) {
        let mut refusals = self.0.lock();
        refusals.push_front((subject.into(), refusal));
        refusals.truncate(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_sees_their_own_newest_first_and_memory_is_bounded() {
        let refusals = OwnRefusals::default();
        for at in 0..3_000 {
            let form = Some("subprotocol");
            let refusal =
                OwnRefusal { at, reason: Reason::TokenExpired, request_id: format!("n-{at}"), form };
            refusals.add(if at % 2 == 0 { "ada" } else { "bob" }, refusal);
        }
        let own = refusals.of("ada");
        assert_eq!(own.len(), ANSWERED);
        assert_eq!((own[0].at, own[1].at), (2_998, 2_996));
        assert!(own.iter().all(|refusal| refusal.at % 2 == 0));
        assert_eq!(refusals.of("eve"), []);
        assert_eq!(refusals.0.lock().len(), KEPT);
    }
}
