//! What Anthropic's clients send: refused with reasons, or said to every upstream as it was meant.

use tidegate_protocol::Request;
use tidegate_protocol::anthropic::{decode_count_request, decode_request, error_body};

use super::request_bodies::{refused, translated};

/// # Panics
/// Where a promise is broken.
pub fn check(body: &[u8]) {
    let counted = decode_count_request(body);
    match decode_request(body) {
        Ok(request) => {
            translated(&request);
            // Whoever may ask may count, and the same is counted.
            let counted = counted.as_ref().map(messages);
            assert_eq!(counted, Ok(messages(&request)));
        }
        Err(failure) => refused(&failure, error_body),
    }
    match counted {
        Ok(request) => translated(&request),
        Err(failure) => refused(&failure, error_body),
    }
}

fn messages(request: &Request) -> String {
    request.chat().map(|chat| format!("{:?}", chat.messages)).expect("a chat")
}
