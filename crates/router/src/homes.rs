//! Where users' worlds are.

use std::future::Ready;

use futures_util::future::BoxFuture;
use portcullis_reason::Rejection;
use portcullis_token::Identity;
use tokio_util::either::Either;

/// Where a user's world is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In this process.
    Here,
}

/// Something that is known at once, which needs no allocation, or has to be waited for.
pub type Answer<T> = Either<Ready<Result<T, Rejection>>, BoxFuture<'static, Result<T, Rejection>>>;

/// Knows where each user's world is: a user has one, whatever process they come to.
///
/// It is asked for every connection and request, before there is a seat for it. A refusal is the client's to read like any
/// other: [`Reason::NotReady`](portcullis_reason::Reason) with a time to come back where the world is between two places.
/// It is asked by the identity, since the key that the record has for a user costs a hash. Its answer has no deadline of its
/// own, and dropping it gives up.
pub trait Homes: Send + Sync + 'static {
    /// Where the world of that user is.
    fn home(&self, user: &Identity) -> Answer<Home>;
}

/// For a process that is the only one: everybody's world is here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Homes for Alone {
    fn home(&self, _: &Identity) -> Answer<Home> {
        Either::Left(std::future::ready(Ok(Home::Here)))
    }
}
