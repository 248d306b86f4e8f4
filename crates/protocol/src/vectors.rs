//! Vectors that an upstream computed, checked against what it was asked for.

use crate::error::{ErrorKind, Failure};
use crate::event::Event;

/// The vectors as an event; `asked` is for how many texts.
///
/// # Errors
/// [`ErrorKind::UpstreamProtocol`] when it is not one for each text, or one is empty or holds what
/// is no number.
pub(crate) fn event(vectors: Vec<Vec<f32>>, asked: usize) -> Result<Event, Failure> {
    let protocol = |message: String| Failure::new(ErrorKind::UpstreamProtocol, message);
    if vectors.len() != asked {
        let count = vectors.len();
        return Err(protocol(format!("the upstream sent {count} vectors for {asked} texts")));
    }
    // A number too large for a float becomes infinite, for which JSON has no word.
    let is_sound =
        |vector: &Vec<f32>| !vector.is_empty() && vector.iter().all(|number| number.is_finite());
    match vectors.iter().position(|vector| !is_sound(vector)) {
        None => Ok(Event::Embeddings(vectors)),
        Some(index) => Err(protocol(format!(
            "the upstream's vector {index} is empty, or not of finite numbers"
        ))),
    }
}
