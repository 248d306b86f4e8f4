//! The phases of an answer in which it may be cancelled or left.

use tokio::time::timeout;

use crate::gateway::TestGateway;
use crate::upstream::{PATIENCE, Step};
use crate::wire::{openai_end, openai_token, sse_head};

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phase {
    Queued,
    /// The upstream has the request and has not answered.
    NoHead,
    /// The response head is there, no token.
    NoToken,
    Streaming,
    /// The finish reason is there, the end mark is not: the answer is not whole yet.
    Tail,
}

impl Phase {
    pub const ALL: [Self; 5] =
        [Self::Queued, Self::NoHead, Self::NoToken, Self::Streaming, Self::Tail];

    /// An upstream that gets so far, and no further.
    pub fn script(self) -> Vec<Step> {
        let said = match self {
            Self::Queued | Self::NoHead => vec![],
            Self::NoToken => vec![sse_head()],
            Self::Streaming => vec![sse_head(), openai_token("one")],
            Self::Tail => vec![sse_head(), openai_token("one"), openai_end(7, 1).swap_remove(0)],
        };
        [said, vec![Step::Silence]].concat()
    }

    /// As the list of streams calls it.
    fn state(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::NoHead => "connecting",
            Self::NoToken => "waiting",
            Self::Streaming | Self::Tail => "streaming",
        }
    }

    /// Whether its client has been told a token, if it streams.
    pub fn has_token(self) -> bool {
        matches!(self, Self::Streaming | Self::Tail)
    }

    /// Waits until a stream stands here; gives its id.
    pub async fn reached(self, gateway: &TestGateway) -> String {
        let reached = async {
            loop {
                let list = gateway.client.get("/api/chat/streams").await.json();
                let mut streams = list["streams"].as_array().unwrap().iter();
                if let Some(stream) = streams.find(|stream| stream["state"] == self.state()) {
                    return stream["requestId"].as_str().unwrap().to_owned();
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{self:?} was not reached"))
    }
}
