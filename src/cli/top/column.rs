//! The columns of the table of streams: what they show, and in which order they put streams.

use std::cmp::Ordering;

use super::lists::Stream;
use super::quantity::{bytes, decimal, duration};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Id,
    Model,
    Target,
    Owner,
    State,
    Age,
    FirstToken,
    Tokens,
    Rate,
    Buffered,
}

impl Column {
    pub const ALL: [Self; 10] = [
        Self::Id,
        Self::Model,
        Self::Target,
        Self::Owner,
        Self::State,
        Self::Age,
        Self::FirstToken,
        Self::Tokens,
        Self::Rate,
        Self::Buffered,
    ];

    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Id => "ID",
            Self::Model => "MODEL",
            Self::Target => "TARGET",
            Self::Owner => "OWNER",
            Self::State => "STATE",
            Self::Age => "AGE",
            Self::FirstToken => "TTFT",
            Self::Tokens => "TOKENS",
            Self::Rate => "TOK/S",
            Self::Buffered => "BUFFERED",
        }
    }

    /// Numbers stand to the right.
    #[must_use]
    pub fn is_number(self) -> bool {
        matches!(self, Self::Age | Self::FirstToken | Self::Tokens | Self::Rate | Self::Buffered)
    }

    /// What a stream has in it.
    #[must_use]
    pub fn text(self, stream: &Stream) -> String {
        match self {
            Self::Id => stream.request_id.clone(),
            Self::Model => stream.model.clone(),
            Self::Target => stream.target.clone().unwrap_or_default(),
            Self::Owner => stream.owner.clone(),
            Self::State => stream.state.clone(),
            Self::Age => duration(Some(stream.age_ms)),
            Self::FirstToken => duration(stream.time_to_first_token_ms),
            Self::Tokens => stream.tokens.to_string(),
            Self::Rate => stream.tokens_per_second.map_or_else(|| "-".to_owned(), decimal),
            Self::Buffered => bytes(stream.bytes_buffered),
        }
    }

    /// Which of two streams comes first by it.
    #[must_use]
    pub fn order(self, a: &Stream, b: &Stream) -> Ordering {
        match self {
            Self::Age => a.age_ms.cmp(&b.age_ms),
            Self::FirstToken => a.time_to_first_token_ms.cmp(&b.time_to_first_token_ms),
            Self::Tokens => a.tokens.cmp(&b.tokens),
            Self::Rate => {
                let [a, b] = [a, b].map(|it| it.tokens_per_second.unwrap_or(f64::NEG_INFINITY));
                a.total_cmp(&b)
            }
            Self::Buffered => a.bytes_buffered.cmp(&b.bytes_buffered),
            Self::Id => a.request_id.cmp(&b.request_id),
            Self::Model => a.model.cmp(&b.model),
            Self::Target => a.target.cmp(&b.target),
            Self::Owner => a.owner.cmp(&b.owner),
            Self::State => a.state.cmp(&b.state),
        }
    }
}
