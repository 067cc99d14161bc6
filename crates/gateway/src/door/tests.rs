//! Where a user's world is may have to be waited for, and may not be known: for an upgrade as for any other request.

use std::{future::pending, sync::Arc};

use portcullis_reason::{Reason, Rejection};
use portcullis_router::{Answer, Home, Homes};
use portcullis_test::{Peer, Request};
use portcullis_token::Identity;
use portcullis_units::Duration;
use tokio::{runtime::Runtime, task::yield_now};
use tokio_util::either::Either;

use crate::testing::{mint_for, start_homed};

/// Knows by the user's name what becomes of asking for them.
struct Told;

impl Homes for Told {
    fn home(&self, user: &Identity) -> Answer<Home> {
        let user = user.subject().to_owned();
        Either::Right(Box::pin(async move {
            yield_now().await;
            match user.as_str() {
                "late" => Ok(Home::Here),
                "moving" => {
                    Err(Rejection::new(Reason::NotReady, "their world is on its way").with_retry_after(7))
                }
                _ => pending().await,
            }
        }))
    }
}

#[test]
fn a_home_that_is_told_late_or_never_is_waited_for_and_no_longer() {
    let runtime = Runtime::new().unwrap();
    let server = {
        let _inside = runtime.enter();
        start_homed(|options| options.handshake.timeout = Duration::from_millis(500), Arc::new(Told))
    };
    for (user, status, retry) in
        [("late", 101, None), ("moving", 503, Some("7")), ("never told", 503, Some("1"))]
    {
        let token = mint_for(&server.signer, user);
        let mut peer = Peer::connect(server.gateway);
        peer.send(&Request::upgrade("/ws").bearer(&token).bytes());
        let response = if status == 101 { peer.response_to_head() } else { peer.response() };
        assert_eq!(response.status, status, "{user}: {}", response.raw);
        let plain = Request::plain("GET", "/api/v1/threads").bearer(&token).field("Connection", "close");
        let plain = Peer::connect(server.gateway).ask(&plain);
        assert_eq!(plain.status, if status == 101 { 200 } else { status }, "{user}: {}", plain.raw);
        for refused in [response, plain].iter().filter(|response| response.status == 503) {
            assert_eq!(refused.reason(), "NOT_READY");
            assert_eq!(refused.field("Retry-After"), retry, "{user}: {}", refused.raw);
        }
    }
}
