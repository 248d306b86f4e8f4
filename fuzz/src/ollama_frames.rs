//! Ollama's answers: the same events at every split, one end, and all of it can be said to clients.

use tidegate_protocol::ollama::EventDecoder;

use super::input::Input;
use super::seen::run;
use super::written;

/// # Panics
/// Where a promise is broken.
pub fn check(data: &[u8]) {
    let Some(input) = Input::parse(data) else { return };
    let decoder = || EventDecoder::new(input.limit);
    let whole = run(decoder(), &input.whole());
    assert_eq!(run(decoder(), &input.reads()), whole, "split");
    written::check(&whole);
}
