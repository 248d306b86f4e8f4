//! What a request wants to become of its answer when its client leaves: `X-On-Disconnect`.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName};
use tidegate_protocol::{Failure, FieldFault};

use crate::config::{Disconnect, OnDisconnect};

const ON_DISCONNECT: HeaderName = HeaderName::from_static("x-on-disconnect");
const SYNTAX: &str = "must be cancel, run-on, run-on= and a number of seconds, or detach";

/// What a request wants; nothing leaves it to the model.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wish {
    policy: Option<OnDisconnect>,
    run_on: Option<Duration>,
}

impl Wish {
    /// The answer is to go on without its client.
    #[must_use]
    pub fn detached() -> Self {
        Self { policy: Some(OnDisconnect::Detach), run_on: None }
    }

    /// The wish, within what the model allows. An answer that its client may come back for runs on,
    /// unless somebody has said otherwise.
    #[must_use]
    pub fn within(&self, model: &Disconnect, comes_back: bool) -> Disconnect {
        let policy = match model.policy {
            OnDisconnect::Cancel if comes_back => OnDisconnect::RunOn,
            policy => policy,
        };
        Disconnect {
            policy: self.policy.unwrap_or(policy),
            run_on: self.run_on.map_or(model.run_on, |wanted| wanted.min(model.run_on)),
        }
    }
}

/// Reads the wish.
///
/// # Errors
/// When it is not one of the few words.
pub fn disconnect_wish(headers: &HeaderMap) -> Result<Wish, Failure> {
    let mut values = headers.get_all(ON_DISCONNECT);
    let Some(value) = values.next() else { return Ok(Wish::default()) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.and_then(parse).ok_or_else(|| {
        let field = "X-On-Disconnect".to_owned();
        Failure::invalid(vec![FieldFault { field, message: SYNTAX.to_owned() }])
    })
}

fn parse(text: &str) -> Option<Wish> {
    let (word, seconds) = match text.split_once('=') {
        Some((word, seconds)) => (word, Some(seconds)),
        None => (text, None),
    };
    let policy = OnDisconnect::ALL.into_iter().find(|policy| policy.as_str() == word)?;
    let run_on = match seconds {
        Some(_) if policy != OnDisconnect::RunOn => return None,
        Some(seconds) => Some(Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?),
        None => None,
    };
    Some(Wish { policy: Some(policy), run_on })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn read(values: &[&str]) -> Result<Disconnect, Failure> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ON_DISCONNECT, HeaderValue::from_str(value).unwrap());
        }
        disconnect_wish(&headers).map(|wish| wish.within(&Disconnect::default(), false))
    }

    #[test]
    fn a_wish_goes_before_the_model_but_not_beyond_its_bound() {
        let model = Disconnect::default();
        assert_eq!(read(&[]).unwrap(), model);
        assert_eq!(read(&["cancel"]).unwrap().policy, OnDisconnect::Cancel);
        assert_eq!(read(&["detach"]).unwrap().policy, OnDisconnect::Detach);
        for (text, run_on) in
            [("run-on", 30.0), ("run-on=0.5", 0.5), ("run-on=0", 0.0), ("run-on=31", 30.0)]
        {
            let expected =
                Disconnect { policy: OnDisconnect::RunOn, run_on: Duration::from_secs_f64(run_on) };
            assert_eq!(read(&[text]).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_wish_is_refused_in_words() {
        for text in ["", "Cancel", "stay", "run-on=", "run-on=-1", "run-on=nan", "detach=5"] {
            let failure = read(&[text]).unwrap_err();
            assert!(failure.message.starts_with("X-On-Disconnect: must be cancel,"), "{failure}");
        }
        assert!(read(&["cancel", "detach"]).is_err(), "two wishes are none");
    }
}
