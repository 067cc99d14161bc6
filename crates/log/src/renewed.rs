//! Events of a stream whose epoch has changed since.

use bytes::Bytes;
use portcullis_event::{Envelope, Epoch, EventId, Position};

/// The text of an event under another epoch; none where the text is no event.
///
/// An event tells its epoch and is named by it, so one that was recorded before the stream got a new epoch is written anew
/// when it is read.
pub fn renewed(text: &[u8], epoch: &Epoch) -> Option<Bytes> {
    let mut event = Envelope::parse(str::from_utf8(text).ok()?).ok()?;
    let seq = event.position.as_ref()?.seq;
    event.id = EventId::numbered(epoch.as_str(), seq).ok()?;
    event.position = Some(Position { epoch: epoch.clone(), seq });
    let mut out = Vec::with_capacity(text.len() + epoch.as_str().len());
    event.write(portcullis_event::Wire::V1, &mut out);
    Some(out.into())
}
