//! What is logged of a panic.

use std::any::Any;
use std::panic;

/// Has panics logged as one line each: where, and what, unless that may quote a request.
pub fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let at = info.location().map(tracing::field::display);
        tracing::error!(at, what = words(info.payload()), "panicked");
    }));
}

/// Words that stand in the code. Those that were put together may hold what a client sent: a slice
/// that cuts a character quotes its text.
fn words(payload: &dyn Any) -> &'static str {
    let plain = payload.downcast_ref::<&'static str>();
    plain.copied().unwrap_or("not shown, for it may quote a request")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_what_stands_in_the_code_only() {
        let told = |payload: Box<dyn Any + Send>| words(&*payload);
        let plain = panic::catch_unwind(|| panic!("a word of ours"));
        assert_eq!(told(plain.unwrap_err()), "a word of ours");
        let prompt = String::from("\u{e9} canary");
        let cut = panic::catch_unwind(|| prompt[..1].len());
        let cut = cut.unwrap_err();
        assert!(cut.downcast_ref::<String>().is_some_and(|text| text.contains("canary")));
        assert!(!told(cut).contains("canary"));
    }
}
