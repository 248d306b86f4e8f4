//! One answer to its end, over as many connections as that takes.
//!
//! The request carries a key of its own. Where a connection is lost the answer is taken up behind the
//! last event that came, or, if none said its stream's id, by the same request again: the key makes it
//! join the stream that the first one began.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::http::{Method, StatusCode};
use bytes::Bytes;
use futures::StreamExt;
use tidegate_protocol::StreamId;
use tidegate_protocol::sse::SseDecoder;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{sleep, timeout};

use super::event::Event;
use crate::cli::Problem;
use crate::cli::client::{Client, Response, SILENCE};
use crate::http::attach::STREAM_ID;
use crate::http::resume::{IDEMPOTENCY_KEY, LAST_EVENT_ID};

/// So often a lost connection is replaced.
const MOST_LOSSES: u32 = 5;
/// Before the first time; each further one waits longer by as much.
const PAUSE: Duration = Duration::from_millis(200);
/// A larger event is not taken.
const EVENT_BYTES: usize = 16 * 1024 * 1024;
/// Events on their way to who prints them.
const AHEAD: usize = 64;
const EVENTS: &str = "text/event-stream";

/// What happens to an answer.
#[derive(Debug)]
pub enum News {
    Event(Event),
    /// A connection was lost, and another is tried.
    Lost(Problem),
    /// There will be no end.
    Failed(Problem),
}

/// One request, and the stream that answers it.
#[derive(Clone)]
pub struct Question {
    client: Client,
    body: Bytes,
    key: String,
    id: Rc<Cell<Option<StreamId>>>,
}

impl Question {
    #[must_use]
    pub fn new(client: Client, body: Bytes) -> Self {
        let key = format!("cli-{:032x}", rand::random::<u128>());
        Self { client, body, key, id: Rc::default() }
    }

    /// Asks, and follows the answer; what happens to it comes out of the channel.
    #[must_use]
    pub fn ask(&self) -> Receiver<News> {
        let (to, news) = mpsc::channel(AHEAD);
        let question = self.clone();
        actix_rt::spawn(async move {
            if let Err(problem) = question.follow(&to).await {
                // Who does not listen any more has no use for it.
                let _ = to.send(News::Failed(problem)).await;
            }
        });
        news
    }

    /// Cancels the stream.
    ///
    /// # Errors
    /// Any [`Problem`] on the way.
    pub async fn cancel(&self) -> Result<(), Problem> {
        // The request may be under way and its stream not known yet: the same once more is told it.
        let joined = match self.id.get() {
            Some(_) => None,
            None => Some(self.open(None).await?),
        };
        if let Some(id) = self.id.get() {
            self.client.cancel(id).await?;
        }
        drop(joined);
        Ok(())
    }

    async fn follow(&self, to: &Sender<News>) -> Result<(), Problem> {
        let mut last = None;
        let mut losses = 0;
        loop {
            let problem = match self.read_on(&mut last, to).await {
                Ok(()) => return Ok(()),
                Err(problem) => problem,
            };
            let never_there = losses == 0 && self.id.get().is_none() && problem.is_unsent();
            if !problem.is_loss() || never_there || losses == MOST_LOSSES {
                return Err(problem);
            }
            losses += 1;
            if to.send(News::Lost(problem)).await.is_err() {
                return Ok(());
            }
            sleep(PAUSE * losses).await;
        }
    }

    /// Reads over one connection, to the answer's last event.
    async fn read_on(&self, last: &mut Option<u64>, to: &Sender<News>) -> Result<(), Problem> {
        let mut response = self.open(*last).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Err(Problem::Strange("nothing is left of an answer without an end".to_owned()));
        }
        let mut decoder = SseDecoder::new(EVENT_BYTES);
        loop {
            decoder.feed(self.read(&mut response).await?);
            while let Some(event) = next(&mut decoder)? {
                *last = event.number.or(*last);
                let is_last = event.is_last();
                if to.send(News::Event(event)).await.is_err() || is_last {
                    return Ok(());
                }
            }
        }
    }

    async fn open(&self, last: Option<u64>) -> Result<Response, Problem> {
        let request = match self.id.get() {
            Some(id) => {
                let request = self.client.request(Method::GET, &format!("/api/chat/{id}"), EVENTS);
                request.insert_header((LAST_EVENT_ID, format!("{id}:{}", last.unwrap_or(0))))
            }
            None => self
                .client
                .request(Method::POST, "/api/chat", EVENTS)
                .insert_header((CONTENT_TYPE, "application/json"))
                .insert_header((IDEMPOTENCY_KEY, self.key.as_str())),
        };
        let body = if self.id.get().is_some() { Bytes::new() } else { self.body.clone() };
        let response = self.client.send(request, body, SILENCE).await?;
        let id = response.headers().get(STREAM_ID).and_then(|id| id.to_str().ok()?.parse().ok());
        self.id.set(self.id.get().or(id));
        Ok(response)
    }

    async fn read(&self, response: &mut Response) -> Result<Bytes, Problem> {
        match timeout(SILENCE, response.next()).await {
            Ok(Some(Ok(read))) => Ok(read),
            Ok(Some(Err(error))) => Err(Problem::Lost(error.to_string())),
            Ok(None) => Err(Problem::Lost("it ended before the answer did".to_owned())),
            Err(_) => {
                let url = self.client.base().to_owned();
                Err(Problem::Silent { url, after: SILENCE })
            }
        }
    }
}

fn next(decoder: &mut SseDecoder) -> Result<Option<Event>, Problem> {
    let frame = decoder.next_frame().map_err(|failure| Problem::Strange(failure.message))?;
    frame.as_ref().map(Event::of).transpose()
}
