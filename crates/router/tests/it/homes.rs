//! Where worlds are is asked of somebody who takes their time and does not always know: every test here connects so.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{FutureExt as _, future::poll_fn};
use portcullis_log::Memory;
use portcullis_reason::{Reason, Rejection};
use portcullis_router::{Alone, Answer, Home, Homes, Router, Seat};
use portcullis_test::runtime_clock;
use portcullis_token::Identity;
use tokio_util::either::Either;

use crate::{
    script::scripted,
    world::{Deaf, LIMITS, identity, roomy, turn},
};

/// Answers every other time at once, else late, and refuses one time of three.
#[derive(Default)]
pub(crate) struct Hesitant {
    asked: AtomicUsize,
}

impl Homes for Hesitant {
    fn home(&self, _: &Identity) -> Answer<Home> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = if asked % 3 == 1 {
            Err(Rejection::new(Reason::NotReady, "the user is on the move").with_retry_after(1))
        } else {
            Ok(Home::Here)
        };
        if asked.is_multiple_of(2) {
            return Either::Left(ready(answer));
        }
        let mut polls = 0;
        let late = poll_fn(move |context| {
            polls += 1;
            if polls < 3 {
                context.waker().wake_by_ref();
                return std::task::Poll::Pending;
            }
            std::task::Poll::Ready(())
        });
        Either::Right(late.map(|()| answer).boxed())
    }
}

/// A seat, asked for again where the answer is to do so.
pub(crate) async fn admitted(router: &Router, user: &str, most: u32) -> Result<Seat, Rejection> {
    loop {
        match router.admit(identity(user), most).await {
            Err(rejection) if rejection.reason == Reason::NotReady => {
                assert_eq!(rejection.retry_after, Some(1));
            }
            settled => return settled,
        }
    }
}

fn router(homes: Arc<dyn Homes>) -> Router {
    let log = Arc::new(Memory::new(LIMITS));
    Router::new(roomy(), scripted(), Arc::new(Deaf), log, homes, Arc::from("node"), runtime_clock(0))
}

#[test]
fn who_is_alone_knows_at_once() {
    let router = router(Arc::new(Alone));
    let Either::Left(known) = router.admit(identity("ann"), 1) else { panic!("nobody is asked") };
    assert!(known.into_inner().is_ok());
}

#[tokio::test]
async fn nobody_has_a_seat_before_it_is_known_where() {
    let router = router(Arc::new(Hesitant::default()));
    let first = admitted(&router, "ann", 1).await.unwrap();
    // Refused, and given up while it waits: neither takes a seat.
    let refused = router.admit(identity("ann"), 1).await.unwrap_err();
    assert_eq!(refused.reason, Reason::NotReady);
    drop(first);
    assert!(router.admit(identity("ann"), 1).await.is_ok());
    let late = router.admit(identity("ann"), 1);
    assert!(matches!(late, Either::Right(_)));
    drop(late);
    turn().await;
    let seat = admitted(&router, "ann", 1).await.unwrap();
    assert_eq!(admitted(&router, "ann", 1).await.unwrap_err().reason, Reason::TooManyConnections);
    drop(seat);
}
