//! OpenAI's Responses, as a client's dialect. Few servers speak it: every upstream is asked for a
//! chat, and what it says is told as a response.
//!
//! - [`request`], `settings`: a client's body, checked. `items`, `content`, `conversation`: what
//!   was said so far. [`item`]: a piece of a conversation, as it is kept and listed.
//! - `echo`: what of the request the response repeats. `wire`: the response and its items.
//! - [`ResponseEncoder`], `output`, `frames`: an answer, streamed or in one piece.

mod content;
mod conversation;
mod echo;
mod encoder;
mod frames;
pub mod item;
mod items;
mod output;
pub mod request;
mod settings;
mod wire;

pub use echo::Echo;
pub use encoder::{Finished, ResponseEncoder, Standing, last_words};
pub use item::{Item, ItemList};
pub use request::{Asked, decode_request};
