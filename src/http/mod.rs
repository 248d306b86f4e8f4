//! What clients see: routes, dialects, and the one map from error kind to status.
//!
//! - [`routes`]: the route table.
//! - [`chat`]: the handler of all chat endpoints, generic over the dialect.
//! - [`answering`]: what they are answered with.
//! - [`dialect`], [`native`], [`openai`], [`anthropic`]: how a dialect is read, written and
//!   streamed.
//! - `anthropic_count`: the tokens of a prompt, by its upstream's word.
//! - [`ollama`], [`ollama_routes`], `ollama_models`: the same for Ollama's API, and its lists.
//! - [`responses`]: OpenAI's Responses, which may be asked for again.
//! - [`event_stream`]: a live answer as a response body.
//! - [`socket`]: many streams over one WebSocket.
//! - [`resume`]: what a request says about coming back; [`attach`]: streams that are there already.
//! - `write_limit`: how long a client may take nothing of it.
//! - [`streams`], [`models`], [`status`]: list and cancel; what there is; whether it is well.
//!   [`fleets`]: the targets of the models.
//! - [`allowance`]: how much a caller may still ask, as headers.
//! - [`caller`], [`body`]: who asks, and the bounded reading of what.
//! - [`ahead`]: how far a client may send ahead of its answer.
//! - `disconnect`: what a request wants if its client leaves.
//! - [`queue`]: what it wants of its model's queue, and where it stands there.
//! - [`target`]: which target it wants.
//! - [`console`]: a page for people, and what feeds it.
//! - [`rebinding`]: pages that know the gateway by a name of their own.
//! - [`host`]: whom a request is for, if it is well-formed.
//! - [`offer`]: what one configuration makes of all this, and which is in force.
//! - [`worker`]: the handles a worker's handlers use.
//! - [`error`]: failures as responses.
//! - [`observe`]: request ids, access records, HTTP metrics; [`arrival`]: what is known of a request from
//!   its first moment.

pub mod ahead;
pub mod allowance;
pub mod answering;
pub mod anthropic;
mod anthropic_count;
pub mod arrival;
pub mod attach;
pub mod body;
pub mod caller;
pub mod chat;
pub mod console;
pub mod dialect;
mod disconnect;
pub mod error;
pub mod event_stream;
pub mod fleets;
pub mod host;
pub mod models;
pub mod native;
pub mod observe;
pub mod offer;
pub mod ollama;
mod ollama_models;
pub mod ollama_routes;
pub mod openai;
pub mod queue;
pub mod rebinding;
pub mod responses;
pub mod resume;
pub mod routes;
pub mod socket;
pub mod status;
pub mod streams;
pub mod target;
pub mod worker;
mod write_limit;
