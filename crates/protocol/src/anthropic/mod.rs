//! Anthropic's Messages API, as a client's dialect.
//!
//! - [`request`], `messages`, `blocks`, `tools`: a client's body, checked.
//! - [`StreamEncoder`]: a streamed answer; `queue` gives its blocks one after another, `events`
//!   writes them. [`WholeEncoder`]: an answer in one piece; `answer`, what both have in common.
//! - [`errors`]: error bodies and the error event.

mod answer;
mod blocks;
pub mod errors;
mod events;
mod messages;
mod queue;
pub mod request;
mod stream_encoder;
mod tools;
mod whole_encoder;

pub use answer::count_body;
pub use errors::error_body;
pub use events::PING;
pub use request::{decode_count_request, decode_request};
pub use stream_encoder::StreamEncoder;
pub use whole_encoder::WholeEncoder;
