//! How the commands ask a gateway, and with which key.

use std::env::{self, VarError};
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, AUTHORIZATION, HeaderValue, RETRY_AFTER};
use awc::{ClientRequest, ClientResponse};
use bytes::{Bytes, BytesMut};
use clap::Args;
use futures::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidegate_protocol::StreamId;
use tokio::time::timeout;

use super::Problem;
use super::place::Place;
use crate::config::{Origin, Secret};

/// What is answered at once is answered within this.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// A gateway says something on every stream at least as often as `server.heartbeat_seconds` says,
/// of which 300 is the most.
pub const SILENCE: Duration = Duration::from_secs(310);
/// A list is read up to here: a thousand streams take half a megabyte.
const LIST_BYTES: usize = 64 * 1024 * 1024;
const REFUSAL_BYTES: usize = 64 * 1024;
/// The variable that holds the key, if no other is named.
const KEY_VARIABLE: &str = "TIDEGATE_API_KEY";

/// Which gateway is asked, and where its key is.
#[derive(Debug, Args)]
pub struct Reach {
    /// The gateway [default: this machine's, at the configured address]. Over https one that is named must
    /// show a certificate of a public authority, this machine's the one of server.tls.certificate
    #[arg(long)]
    url: Option<String>,
    /// The environment variable that holds the API key [default: `TIDEGATE_API_KEY`, if it is set]
    #[arg(long, value_name = "NAME")]
    key_env: Option<String>,
}

/// A client of one gateway.
#[derive(Clone)]
pub struct Client {
    http: awc::Client,
    base: String,
    key: Option<Secret>,
}

impl Client {
    /// # Errors
    /// Where the gateway cannot be found, or a key is not there.
    pub fn new(reach: &Reach, origin: &Origin) -> Result<Self, Problem> {
        let place = Place::find(reach.url.clone(), origin)?;
        let named = reach.key_env.as_deref();
        let key = key(named, env::var(named.unwrap_or(KEY_VARIABLE)))?;
        Ok(Self { http: place.http(), base: place.url().to_owned(), key })
    }

    /// The gateway's address.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request with the key on it.
    #[must_use]
    pub fn request(&self, method: Method, path: &str, accept: &'static str) -> ClientRequest {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let request = request.insert_header((ACCEPT, HeaderValue::from_static(accept)));
        match &self.key {
            Some(key) => request.insert_header((AUTHORIZATION, format!("Bearer {}", key.expose()))),
            None => request,
        }
    }

    /// Sends a request; gives the response if it is a good one.
    ///
    /// # Errors
    /// Any [`Problem`] on the way, and the refusal that was answered.
    pub async fn send(
        &self,
        request: ClientRequest,
        body: Bytes,
        patience: Duration,
    ) -> Result<Response, Problem> {
        let Ok(sent) = timeout(patience, request.send_body(body)).await else {
            return Err(Problem::Silent { url: self.base.clone(), after: patience });
        };
        let response =
            sent.map_err(|error| Problem::Unreachable { url: self.base.clone(), error })?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }

    /// # Errors
    /// As [`send`](Self::send), and where it answers something else.
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let request = self.request(Method::GET, path, "application/json");
        let response = self.send(request, Bytes::new(), ANSWER_TIME).await?;
        let body = read(response, LIST_BYTES).await?;
        serde_json::from_slice(&body).map_err(|error| Problem::Strange(format!("{path}: {error}")))
    }

    /// Cancels a stream.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn cancel(&self, id: StreamId) -> Result<(), Problem> {
        let path = format!("/api/chat/{id}");
        let request = self.request(Method::DELETE, &path, "application/json");
        self.send(request, Bytes::new(), ANSWER_TIME).await.map(drop)
    }
}

/// A response whose body has not been read.
pub type Response = ClientResponse;

/// The key is only taken from the environment: arguments are seen by all of the machine.
fn key(named: Option<&str>, found: Result<String, VarError>) -> Result<Option<Secret>, Problem> {
    let name = named.unwrap_or(KEY_VARIABLE);
    let value = match found {
        Ok(value) => value,
        Err(VarError::NotPresent) if named.is_none() => return Ok(None),
        Err(error) => return Err(Problem::Usage(format!("{name}: {error}"))),
    };
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::Usage(format!("{name}: a key is visible ASCII, and not empty")));
    }
    Ok(Some(Secret::new(value)))
}

async fn read(mut response: Response, most: usize) -> Result<Bytes, Problem> {
    let reading = async {
        let mut body = BytesMut::new();
        while let Some(read) = response.next().await {
            body.extend_from_slice(&read.map_err(|error| Problem::Lost(error.to_string()))?);
            if body.len() > most {
                return Err(Problem::Strange(format!("a body of more than {most} bytes")));
            }
        }
        Ok(body.freeze())
    };
    let late = || Problem::Lost("the body took too long".to_owned());
    timeout(ANSWER_TIME, reading).await.unwrap_or_else(|_| Err(late()))
}

/// What the gateway says in its own dialect about a request that it refuses.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    field: String,
    message: String,
}

async fn refusal(response: Response) -> Problem {
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.map(|seconds| format!(" (try again in {seconds} s)")).unwrap_or_default();
    let body = read(response, REFUSAL_BYTES).await.unwrap_or_default();
    let Ok(said) = serde_json::from_slice::<Refusal>(&body) else {
        return Problem::Refused { status, message: "it did not say why".to_owned() };
    };
    // The message has the first of them.
    let details = said.details.iter().map(|it| format!("{}: {}", it.field, it.message));
    let others = details.filter(|detail| !said.message.contains(detail));
    let all: Vec<_> = std::iter::once(said.message.clone()).chain(others).collect();
    let message = format!("{}: {}{after}", said.error, all.join("; "));
    Problem::Refused { status, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_named_must_hold_a_key() {
        let absent = || Err(VarError::NotPresent);
        assert!(matches!(key(None, absent()), Ok(None)));
        assert!(key(Some("MINE"), absent()).is_err());
        for bad in ["", "two words", "a\nb", "schl\u{fc}ssel"] {
            let problem = key(None, Ok(bad.to_owned())).err().unwrap().line();
            assert!(problem.contains(KEY_VARIABLE), "{problem}");
            assert!(bad.is_empty() || !problem.contains(bad), "{problem}");
        }
        let found = key(Some("MINE"), Ok("k-1".to_owned())).ok().flatten().unwrap();
        assert_eq!(found.expose(), "k-1");
    }
}
