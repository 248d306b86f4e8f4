//! Anthropic's `POST /v1/messages/count_tokens`: the upstream's own count, or an error.

use std::sync::Arc;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use tidegate_protocol::{ErrorKind, Failure, anthropic};

use super::answering::name_ignored;
use super::anthropic::Anthropic;
use super::arrival::Arrival;
use super::body::read_json;
use super::caller::identify;
use super::chat::pace;
use super::error::ApiError;
use super::offer::Here;
use crate::backend::CountTokens;
use crate::provider;

/// Counts the tokens of a conversation.
///
/// # Errors
/// As a chat, and when the upstream cannot count.
pub async fn count_tokens(
    http: HttpRequest,
    mut payload: Payload,
    here: Here,
) -> Result<HttpResponse, ApiError<Anthropic>> {
    let arrival = Arrival::of(&http)?;
    let caller = identify(&http, here.admission.keys(), &here.limits.proxies)?;
    arrival.caller(&caller);
    pace::<Anthropic>(&here.admission, &caller, &arrival)?;
    let body = read_json(&http, &mut payload, here.limits.body).await?;
    let request = anthropic::decode_count_request(&body)?;
    drop(body);
    let ticket = here.admission.admit(caller, &request)?;
    arrival.record.model(&ticket.route.model.name);
    let ignored = provider::fit(&ticket.route.kinds, &request)?.ignored;
    let handle = here.model(&ticket.route)?;
    let counted = handle.counter.send(CountTokens(Arc::new(request))).await;
    let tokens =
        counted.map_err(|_| Failure::new(ErrorKind::Internal, "the backend is gone"))??;
    let body = anthropic::count_body(tokens);
    let mut response = HttpResponse::Ok().content_type("application/json").body(body);
    name_ignored(&mut response, &ignored);
    Ok(response)
}
