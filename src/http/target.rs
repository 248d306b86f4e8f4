//! Which of a model's targets a request wants, and to which session it belongs: `X-Target`,
//! `X-Session-Id`, or `model@target` as the model's name.

use actix_web::http::header::{HeaderMap, HeaderName};
use tidegate_protocol::{Failure, FieldFault};

use crate::config::Model;

const TARGET: HeaderName = HeaderName::from_static("x-target");
const SESSION: HeaderName = HeaderName::from_static("x-session-id");
/// Names of targets are shorter; sessions are hashed, and longer names are somebody's mistake.
const MAX_CHARS: usize = 256;

/// What a request wants.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TargetWish {
    target: Option<String>,
    pub session: Option<String>,
}

/// Reads the wish.
///
/// # Errors
/// For headers that come twice, or are empty or too long.
pub fn target_wish(headers: &HeaderMap) -> Result<TargetWish, Failure> {
    let mut faults = Vec::new();
    let mut read = |name: &HeaderName, shown: &str| {
        let mut values = headers.get_all(name);
        let text = values.next()?.to_str().unwrap_or_default();
        let is_one = values.next().is_none() && (1..=MAX_CHARS).contains(&text.len());
        if !is_one {
            let message = format!("must stand there once, with 1 to {MAX_CHARS} characters");
            faults.push(FieldFault { field: shown.to_owned(), message });
        }
        Some(text.to_owned())
    };
    let wish =
        TargetWish { target: read(&TARGET, "X-Target"), session: read(&SESSION, "X-Session-Id") };
    if faults.is_empty() { Ok(wish) } else { Err(Failure::invalid(faults)) }
}

impl TargetWish {
    /// The same, where the model's name came with a target that it wants.
    #[must_use]
    pub fn naming(self, target: Option<String>) -> Self {
        Self { target: target.or(self.target), ..self }
    }

    /// The place of the target that is wanted.
    ///
    /// # Errors
    /// Where the model has none of that name, or does not let requests choose.
    pub fn of(&self, model: &Model) -> Result<Option<usize>, Failure> {
        let Some(wanted) = &self.target else { return Ok(None) };
        let message = if model.routing.choose_target {
            let place = model.targets.iter().position(|target| target.name == *wanted);
            if place.is_some() {
                return Ok(place);
            }
            let names: Vec<_> = model.targets.iter().map(|target| target.name.as_str()).collect();
            format!("must be one of the model's targets: {}", names.join(", "))
        } else {
            "must not be given: this model does not let requests choose".to_owned()
        };
        Err(Failure::invalid(vec![FieldFault { field: "X-Target".to_owned(), message }]))
    }
}

/// A name such as `model@target`, taken apart.
#[must_use]
pub fn taken_apart(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('@').filter(|(model, target)| !model.is_empty() && !target.is_empty())
}
