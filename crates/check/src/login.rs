//! Logging in for a token.

use std::{io::ErrorKind, time::Duration};

use portcullis_dial::{AnswerError, Client, Target};
use portcullis_frame::Limits;
use serde_json::Value;
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
        let mut client = Client::new(dial(&self.target, tls, patience).await?, Limits::default());
        let exchange = async {
            client.send(&request.bytes()).await?;
            let mut response = client.response().await?;
            client.body(&mut response, LONGEST).await?;
            Ok::<_, AnswerError>(response)
        };
        let answer = tokio::time::timeout(patience, exchange).await;
        let answer = answer.map_err(|_| "the login got no answer in time")?.map_err(|error| match error {
            AnswerError::Io(error) if error.kind() != ErrorKind::UnexpectedEof => error.to_string(),
            _ => "the login's answer is not HTTP".to_owned(),
        })?;
        if answer.status / 100 != 2 {
            return Err(format!("the login was answered with {}", answer.status));
        }
        let body = String::from_utf8_lossy(&answer.body);
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

const LONGEST: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_server_that_keeps_the_connection_is_logged_in_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let login = Login {
            target: Target::parse(&format!("http://{}/login", listener.local_addr().unwrap())).unwrap(),
            body: "{}".to_owned(),
            field: "token".to_owned(),
        };
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.0 200 OK\r\nContent-Length: 13\r\n\r\n{\"token\":\"t\"}";
            stream.write_all(answer).await.unwrap();
            let mut request = Vec::new();
            // To the client's end, which comes only after it has the token.
            stream.read_to_end(&mut request).await.unwrap();
        };
        let (token, ()) = tokio::join!(login.token(None, Duration::from_secs(10)), serve);
        assert_eq!(token.as_deref(), Ok("t"));
    }
}
