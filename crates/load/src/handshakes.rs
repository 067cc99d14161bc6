//! Handshakes: good ones, ones that have to be refused, and both mixed.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    Credentials, Dialer, Failure, clock::now, connection::Connection, engine::Work, messages::Profile,
    recorder::Marks,
};

/// Connect, shake hands, leave.
pub(crate) struct Handshakes {
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) credentials: Credentials,
    pub(crate) profile: Profile,
    /// How many of them have a bad credential, between 0 and 1.
    pub(crate) bad: f64,
}

impl Handshakes {
    /// Whether handshake `number` is a bad one: spread evenly, so that each stretch of time has its share.
    fn is_bad(&self, number: u64) -> bool {
        let share = |number: u64| (number as f64 * self.bad).floor();
        share(number + 1) > share(number)
    }

    async fn accepted(&self, number: u64) -> Result<Marks, Failure> {
        let presented = self.credentials.good(number);
        let (mut connection, opened) = self.dialer.open(number, &presented).await?;
        let mut marks = vec![(ACCEPTED, opened.upgraded), (CONNECTED, opened.connected)];
        if self.profile == Profile::Portcullis {
            let greeting = timeout(self.dialer.patience(), connection.next_text()).await;
            greeting.unwrap_or(Err(Failure::Timeout("the greeting")))?;
            marks.push((GREETED, now()));
        }
        connection.close().await;
        Ok(marks)
    }

    async fn refused(&self, number: u64) -> Result<Marks, Failure> {
        // Their own count, so that every fault has its turn however few of them there are.
        let turn = (number as f64 * self.bad).floor() as u64;
        let (presented, _) = self.credentials.bad(turn);
        match self.dialer.open(number, &presented).await {
            // Too many requests is no judgement of the credential.
            Err(Failure::Refused { status, .. }) if (400..500).contains(&status) && status != 429 => {
                Ok(vec![(REFUSED, now())])
            }
            Err(failure) => Err(failure),
            Ok((connection, _)) => Err(Failure::Accepted(closing(connection).await)),
        }
    }
}

impl Work for Handshakes {
    fn steps(&self) -> &'static [&'static str] {
        match (self.bad, self.profile) {
            (bad, _) if bad >= 1.0 => &[REFUSED],
            (bad, Profile::Portcullis) if bad > 0.0 => &[ACCEPTED, REFUSED, CONNECTED, GREETED],
            (bad, _) if bad > 0.0 => &[ACCEPTED, REFUSED, CONNECTED],
            (_, Profile::Portcullis) => &[ACCEPTED, CONNECTED, GREETED],
            _ => &[ACCEPTED, CONNECTED],
        }
    }

    async fn operate(&self, number: u64) -> Result<Marks, Failure> {
        if self.is_bad(number) { self.refused(number).await } else { self.accepted(number).await }
    }
}

/// The close code of a server that accepts first and authenticates then, if it closes soon.
async fn closing(mut connection: Connection) -> Option<u16> {
    let closed = timeout(DWELL, async {
        loop {
            if let Err(failure) = connection.next().await {
                return failure;
            }
        }
    });
    let code = match closed.await {
        Ok(Failure::Closed { code, .. }) => code,
        _ => None,
    };
    connection.abandon();
    code
}

/// The 101 was read and judged.
pub(crate) const ACCEPTED: &str = "handshake";
/// The refusal was read.
pub(crate) const REFUSED: &str = "refusal";
/// The connection was there, with TLS where it is spoken.
const CONNECTED: &str = "connected";
/// The first message of the server was there.
const GREETED: &str = "greeting";

/// How long a server that accepted a bad credential may take to think better of it.
const DWELL: Duration = Duration::from_secs(1);
