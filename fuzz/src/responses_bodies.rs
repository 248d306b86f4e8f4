//! What clients of Responses send: refused with reasons, or said to every upstream as it was meant.

use serde_json::Value;
use tidegate_protocol::openai::error_body;
use tidegate_protocol::responses::{Asked, ResponseEncoder, decode_request};
use tidegate_protocol::{Failure, StreamId};

use super::request_bodies::{refused, translated};

/// # Panics
/// Where a promise is broken.
pub fn check(body: &[u8]) {
    let id = StreamId::new(1, 2);
    let read = |body| decode_request(body, id, |_| Err("no response is kept here".to_owned()));
    match read(body) {
        Ok(Asked { request, echo, items }) => {
            translated(&request);
            let stream = request.stream;
            let encoder = ResponseEncoder::new(id, "m".to_owned(), 1, echo, stream);
            let begun: Value = serde_json::from_slice(&encoder.in_progress()).expect("JSON");
            assert_eq!(
                (&begun["status"], &begun["object"]),
                (&"in_progress".into(), &"response".into())
            );
            for item in &items {
                let item: Value = serde_json::from_str(item.json().get()).expect("JSON");
                assert!(item["id"].is_string() && item["type"].is_string(), "{item}");
            }
        }
        Err(failure) => refused(&failure, |failure: &Failure| error_body(failure, 400)),
    }
}
