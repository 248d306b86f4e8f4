//! A client of `GET /api/ws`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;

use awc::error::WsProtocolError as ProtocolError;
use awc::ws::{Frame, Message};
use futures::stream::LocalBoxStream;
use futures::{Sink, SinkExt, StreamExt};
use serde_json::{Value, json, value::RawValue};
use tokio::time::timeout;

use crate::client::native;
use crate::upstream::PATIENCE;

/// An open socket. Dropping it closes the connection.
pub struct Socket {
    to: Pin<Box<dyn Sink<Message, Error = ProtocolError>>>,
    from: LocalBoxStream<'static, Result<Frame, ProtocolError>>,
}

/// What comes over a socket, but for pings.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Told(Value),
    /// With the code.
    Closed(u16),
    /// Without a word.
    Gone,
}

/// The events of one stream.
#[derive(Debug, Default, Clone)]
pub struct Followed {
    pub stream: String,
    pub numbers: Vec<u64>,
    /// As they came.
    pub data: Vec<String>,
    pub names: Vec<String>,
}

impl Followed {
    pub fn text(&self) -> String {
        let told = self.data.iter().map(|data| serde_json::from_str::<Value>(data).unwrap());
        told.filter_map(|data| data["content"].as_str().map(str::to_owned)).collect()
    }

    fn has_ended(&self) -> bool {
        self.names
            .last()
            .is_some_and(|name| name != "chat.completion.chunk" && name != "chat.queued")
    }
}

impl Socket {
    /// Opens one with these headers; the status and the body of the refusal otherwise.
    pub async fn open_with(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let url = format!("http://{address}/api/ws");
        let mut asked = awc::Client::new().ws(url).max_frame_size(1 << 24);
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        match asked.connect().await {
            Ok((_, connection)) => {
                let (to, from) = connection.split();
                Ok(Self { to: Box::pin(to), from: from.boxed_local() })
            }
            Err(awc::error::WsClientError::InvalidResponseStatus(status)) => Err(status.as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn open(address: SocketAddr) -> Self {
        Self::open_with(address, &[]).await.unwrap()
    }

    pub async fn send(&mut self, message: Value) {
        self.send_frame(Message::Text(message.to_string().into())).await;
    }

    pub async fn send_frame(&mut self, message: Message) {
        self.to.send(message).await.unwrap();
    }

    /// Begins a stream of that name; `more` is what the message says besides.
    pub async fn start(&mut self, name: &str, prompt: &str, more: Value) {
        let mut message = json!({"type": "start", "ref": name, "request": native(prompt)});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.send(message).await;
    }

    pub async fn hear(&mut self) -> Heard {
        self.hear_text()
            .await
            .map_or_else(|heard| heard, |text| Heard::Told(serde_json::from_str(&text).unwrap()))
    }

    async fn hear_text(&mut self) -> Result<String, Heard> {
        loop {
            match timeout(PATIENCE, self.from.next()).await.expect("something comes") {
                Some(Ok(Frame::Text(text))) => return Ok(String::from_utf8(text.to_vec()).unwrap()),
                Some(Ok(Frame::Close(reason))) => {
                    return Err(Heard::Closed(reason.map_or(1005, |reason| reason.code.into())));
                }
                // Not answered: no test is that slow, but where it wants to be.
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                Some(Ok(other)) => panic!("{other:?}"),
                Some(Err(_)) | None => return Err(Heard::Gone),
            }
        }
    }

    /// The next message, which is no event.
    pub async fn told(&mut self) -> Value {
        match self.hear().await {
            Heard::Told(told) => told,
            other => panic!("{other:?}"),
        }
    }

    /// Reads on until `enough` says so; gives each stream's events by its name.
    pub async fn follow(
        &mut self,
        mut enough: impl FnMut(&HashMap<String, Followed>) -> bool,
    ) -> HashMap<String, Followed> {
        let mut all: HashMap<String, Followed> = HashMap::new();
        while !enough(&all) {
            let text = self.hear_text().await.unwrap_or_else(|heard| panic!("{heard:?}: {all:?}"));
            let message: HashMap<String, &RawValue> = serde_json::from_str(&text).unwrap();
            let string = |name: &str| -> String {
                let value = message.get(name).unwrap_or_else(|| panic!("{name}: {text}"));
                serde_json::from_str(value.get()).unwrap()
            };
            assert_eq!(string("type"), "event", "{text}");
            let followed = all.entry(string("ref")).or_default();
            assert!(!followed.has_ended(), "one terminal, and nothing behind it: {text}");
            followed.stream = string("stream");
            followed.numbers.push(message["number"].get().parse().unwrap());
            followed.data.push(message["data"].get().to_owned());
            followed.names.push(string("event"));
        }
        all
    }

    /// Reads one stream's events to its end.
    pub async fn whole(&mut self, name: &str) -> Followed {
        let is_over =
            |all: &HashMap<String, Followed>| all.get(name).is_some_and(Followed::has_ended);
        self.follow(is_over).await.remove(name).unwrap()
    }

    /// Reads until so many events of a stream are there.
    pub async fn some(&mut self, name: &str, count: usize) -> Followed {
        let enough = |all: &HashMap<String, Followed>| {
            all.get(name).is_some_and(|followed| followed.numbers.len() == count)
        };
        self.follow(enough).await.remove(name).unwrap()
    }
}

/// Whether all these have come to their end.
pub fn have_ended(names: &[&str]) -> impl FnMut(&HashMap<String, Followed>) -> bool {
    move |all| names.iter().all(|name| all.get(*name).is_some_and(Followed::has_ended))
}
