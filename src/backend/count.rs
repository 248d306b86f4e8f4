//! Counting a prompt's tokens: a question to the upstream beside its answers, so it takes no
//! permit, but no longer than the first token of an answer may.

use std::rc::Rc;
use std::sync::Arc;

use actix::{Context, Handler, Message, ResponseFuture};
use tidegate_protocol::{ErrorKind, Failure, Request};
use tokio::time::timeout;

use super::actor::Backend;

/// Asks a backend how many tokens the prompt of a request has.
#[derive(Message)]
#[rtype(result = "Result<u64, Failure>")]
pub struct CountTokens(pub Arc<Request>);

impl Handler<CountTokens> for Backend {
    type Result = ResponseFuture<Result<u64, Failure>>;

    fn handle(&mut self, CountTokens(request): CountTokens, _: &mut Context<Self>) -> Self::Result {
        let provider = Rc::clone(&self.provider);
        let limit = self.timeouts.first_token;
        Box::pin(async move {
            timeout(limit, provider.count_tokens(request)).await.unwrap_or_else(|_| {
                let message = format!("the upstream did not count within {limit:?}");
                Err(Failure::new(ErrorKind::UpstreamTimeout, message))
            })
        })
    }
}
