//! What the events of a native answer say.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidegate_protocol::EventName;
use tidegate_protocol::sse::Frame;

use crate::cli::Problem;

/// One event of an answer.
#[derive(Debug)]
pub struct Event {
    pub name: String,
    /// JSON, on one line.
    pub data: String,
    /// Its number in the stream, by which the stream is taken up again.
    pub number: Option<u64>,
    pub said: Said,
}

#[derive(Debug, PartialEq)]
pub enum Said {
    Piece(Piece),
    Queued(Queued),
    Continued {
        by: String,
    },
    Done(Done),
    /// It ended otherwise.
    Ended(Ended),
    /// Something newer than this program.
    Else,
}

/// A piece of the answer.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Piece {
    #[serde(default)]
    pub content: String,
    pub reasoning: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Queued {
    pub position: u64,
    pub estimated_wait_ms: Option<u64>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    pub model: String,
    /// Tokens, or pieces where the upstream does not count.
    pub eval_count: u64,
    pub finish_reason: Option<String>,
    pub usage: Option<Usage>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

#[derive(Debug, PartialEq, Deserialize)]
pub struct Ended {
    pub code: String,
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Continued {
    continued_by: String,
}

impl Event {
    /// # Errors
    /// [`Problem::Strange`] where the data is not what an event of that name has.
    pub fn of(frame: &Frame<'_>) -> Result<Self, Problem> {
        let name = frame.event.unwrap_or("message");
        let said = said(name, &frame.data)
            .map_err(|error| Problem::Strange(format!("the event {name}: {error}")))?;
        let number = frame.id.and_then(|id| id.rsplit_once(':')?.1.parse().ok());
        let data = frame.data.replace(['\n', '\r'], " ");
        Ok(Self { name: name.to_owned(), data, number, said })
    }

    /// Whether none follows it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self.said, Said::Done(_) | Said::Ended(_))
    }
}

fn said(name: &str, data: &str) -> Result<Said, serde_json::Error> {
    fn read<T: DeserializeOwned>(data: &str) -> Result<T, serde_json::Error> {
        serde_json::from_str(data)
    }
    let name = EventName::ALL.into_iter().find(|known| known.as_str() == name);
    Ok(match name {
        Some(EventName::Chunk) => Said::Piece(read(data)?),
        Some(EventName::Queued) => Said::Queued(read(data)?),
        Some(EventName::Continued) => Said::Continued { by: read::<Continued>(data)?.continued_by },
        Some(EventName::Done) => Said::Done(read(data)?),
        Some(EventName::Cancelled | EventName::Error) => Said::Ended(read(data)?),
        None => {
            read::<serde::de::IgnoredAny>(data)?;
            Said::Else
        }
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidegate_protocol::sse::SseDecoder;

    use super::*;

    fn event(text: &'static str) -> Result<Event, Problem> {
        let mut decoder = SseDecoder::new(1024);
        decoder.feed(Bytes::from_static(text.as_bytes()));
        Event::of(&decoder.next_frame().ok().flatten().unwrap())
    }

    #[test]
    fn a_piece_has_its_place() {
        let event =
            event("id: 0f:7\nevent: chat.completion.chunk\ndata: {\"content\":\"a\\nb\"}\n\n");
        let event = event.ok().unwrap();
        assert_eq!(event.number, Some(7));
        assert_eq!(event.said, Said::Piece(Piece { content: "a\nb".into(), reasoning: None }));
        assert!(!event.is_last());
    }

    #[test]
    fn what_ends_an_answer_is_known() {
        let error = "event: error\ndata: {\"code\":\"TRUNCATED\",\"message\":\"cut\"}\n\n";
        let done =
            "event: chat.completion.done\ndata: {\"model\":\"m\",\ndata: \"evalCount\":2}\n\n";
        for text in [error, done] {
            let event = event(text).ok().unwrap();
            assert!(event.is_last() && !event.data.contains('\n'), "{event:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_what_is_wrong_is_told() {
        assert_eq!(event("event: chat.new\ndata: {}\n\n").ok().unwrap().said, Said::Else);
        for wrong in ["event: chat.new\ndata: {\n\n", "event: error\ndata: {}\n\n"] {
            assert!(matches!(event(wrong), Err(Problem::Strange(_))), "{wrong}");
        }
    }
}
