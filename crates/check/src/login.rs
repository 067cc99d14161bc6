//! Logging in for a token.

use std::time::Duration;

use portcullis_dial::Target;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use crate::{probe::dial, request::Request};

/// Where and with what to log in. The password is in the body.
#[derive(Clone)]
pub struct Login {
    /// The address.
    pub target: Target,
    /// The JSON that is posted.
    pub body: String,
    /// The member of the answer with the token, as a name or a JSON pointer.
    pub field: String,
}

impl Login {
    /// Posts the body and takes the token out of the answer.
    pub(crate) async fn token(
        &self,
        tls: Option<&TlsConnector>,
        patience: Duration,
    ) -> Result<String, String> {
        let body = self.body.as_bytes();
        let request = Request::plain("POST", &self.target.path, &self.target.authority())
            .add("Content-Type", "application/json")
            .add("Accept", "application/json")
            .add("Content-Length", &body.len().to_string())
            .body(body);
        let mut stream = dial(&self.target, tls, patience).await?;
        let exchange = async {
            stream.write_all(&request.bytes()).await?;
            stream.flush().await?;
            let mut answer = Vec::new();
            (&mut stream).take(LONGEST).read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = tokio::time::timeout(patience, exchange).await;
        let answer =
            answer.map_err(|_| "the login got no answer in time")?.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").ok_or("the login's answer is not HTTP")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        if !status.starts_with('2') {
            return Err(format!("the login was answered with {status}"));
        }
        // A chunked body has lengths around the JSON.
        let json = body.find('{').zip(body.rfind('}')).and_then(|(from, to)| body.get(from..=to));
        let json: Value = json
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or("the login's answer is not a JSON object")?;
        let found =
            if self.field.starts_with('/') { json.pointer(&self.field) } else { json.get(&self.field) };
        let token = found.and_then(Value::as_str);
        token.map(ToOwned::to_owned).ok_or_else(|| format!("the login's answer has no `{}`", self.field))
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The body holds a password.
        write!(f, "Login({})", self.target)
    }
}

const LONGEST: u64 = 256 * 1024;
