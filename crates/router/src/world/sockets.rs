//! The connections of a user.

use std::{mem, slice, sync::Arc};

use portcullis_event::Wire;

use crate::Outbox;

/// A connection, known by its outbox.
pub(super) struct Socket {
    pub(super) wire: Wire,
    pub(super) outbox: Arc<Outbox>,
}

/// The connections of a user: mostly one, which needs no list. Every idle connection pays for what stands here.
pub(super) enum Sockets {
    None,
    One(Socket),
    Many(Box<Many>),
}

pub(super) struct Many(Vec<Socket>);

impl Sockets {
    pub(super) fn as_slice(&self) -> &[Socket] {
        match self {
            Self::None => &[],
            Self::One(socket) => slice::from_ref(socket),
            Self::Many(many) => &many.0,
        }
    }

    pub(super) fn push(&mut self, socket: Socket) {
        *self = match mem::replace(self, Self::None) {
            Self::None => Self::One(socket),
            Self::One(first) => Self::Many(Box::new(Many(vec![first, socket]))),
            Self::Many(mut many) => {
                many.0.push(socket);
                Self::Many(many)
            }
        };
    }

    pub(super) fn remove(&mut self, outbox: &Arc<Outbox>) {
        let is_it = |socket: &Socket| Arc::ptr_eq(&socket.outbox, outbox);
        match self {
            Self::One(socket) if is_it(socket) => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(many) => {
                many.0.retain(|socket| !is_it(socket));
                if many.0.len() == 1
                    && let Some(last) = many.0.pop()
                {
                    *self = Self::One(last);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_come_and_go_in_any_number() {
        let outboxes: Vec<_> = (0..4).map(|_| Arc::new(Outbox::new(1))).collect();
        let mut sockets = Sockets::None;
        for (before, outbox) in outboxes.iter().enumerate() {
            assert_eq!(sockets.as_slice().len(), before);
            sockets.push(Socket { wire: Wire::V1, outbox: Arc::clone(outbox) });
        }
        let stranger = Arc::new(Outbox::new(1));
        for (gone, outbox) in outboxes.iter().enumerate() {
            sockets.remove(&stranger);
            sockets.remove(outbox);
            let left: Vec<_> = sockets.as_slice().iter().map(|socket| Arc::as_ptr(&socket.outbox)).collect();
            assert_eq!(left, outboxes[gone + 1..].iter().map(Arc::as_ptr).collect::<Vec<_>>());
        }
        assert!(matches!(sockets, Sockets::None));
    }
}
