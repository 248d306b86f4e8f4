//! Secrets are not printed, and limits do not follow the wall clock.

use crate::source::{code, without_tests, words};

/// The type of secrets.
const SECRET: &str = "src/config/secret.rs";
/// What would let one be printed, or be compared in a time that tells how much of it was right.
const TELLING: [&str; 8] =
    ["Debug", "Display", "Serialize", "PartialEq", "Eq", "Hash", "Deref", "AsRef"];
/// Where one is taken out of its type, and what for.
const EXPOSED: [(&str, &str); 5] = [
    ("src/http/socket/visitor.rs", "it is looked for among the keys there are now"),
    ("src/provider/ask.rs", "it is sent to the upstream"),
    ("src/telemetry/otlp/client.rs", "it is sent to the collector"),
    ("src/config/auth.rs", "two keys are compared"),
    ("src/cli/client.rs", "it is sent to the gateway that is asked"),
];
/// Where the wall clock is read, and what for. It may jump; limits are held by `Instant`.
const WALL_CLOCK: [(&str, &str); 4] = [
    ("src/http/worker.rs", "when an answer was made, to be shown"),
    ("src/telemetry/clock.rs", "moments within answers, to be shown"),
    ("src/telemetry/trace.rs", "when a span began, to be shown"),
    ("src/provider/retry_after.rs", "an upstream names the time of the next try"),
];

fn knows(list: &[(&str, &str)], path: &str) -> bool {
    list.iter().any(|(known, _)| *known == path)
}

pub fn wall_clock_faults(path: &str, text: &str) -> Vec<String> {
    let code = without_tests(&code(text));
    let found = words(&code).filter(|word| ["SystemTime", "Utc", "chrono"].contains(&word.text));
    match found.count() {
        0 if knows(&WALL_CLOCK, path) => {
            vec![format!("{path}: may read the wall clock, and does not")]
        }
        count if count > 0 && !knows(&WALL_CLOCK, path) => {
            vec![format!("{path}: reads the wall clock, which may jump")]
        }
        _ => Vec::new(),
    }
}

pub fn exposure_faults(path: &str, text: &str) -> Vec<String> {
    let code = without_tests(&code(text));
    let exposes =
        words(&code).any(|word| word.text == "expose" && word.before.ends_with(['.', ':']));
    match (exposes, knows(&EXPOSED, path)) {
        (true, false) => vec![format!("{path}: takes a secret out of its type")],
        (false, true) => vec![format!("{path}: may expose a secret, and does not")],
        _ => Vec::new(),
    }
}

/// What the type of secrets derives or implements.
pub fn secret_faults(text: &str) -> Vec<String> {
    let code = without_tests(&code(text));
    let mut faults = Vec::new();
    let Some((before, _)) = code.split_once("pub struct Secret") else {
        return vec![format!("{SECRET}: there is no Secret")];
    };
    let derived = before.rsplit_once("#[derive(").map_or("", |(_, derived)| derived);
    let derived = words(derived).map(|word| word.text.to_owned());
    let implemented = code.lines().filter(|line| line.starts_with("impl"));
    let implemented = implemented.filter_map(|line| line.split_once(" for Secret"));
    let implemented = implemented
        .flat_map(|(what, _)| words(what).map(|word| word.text.to_owned()).collect::<Vec<_>>());
    for name in derived.chain(implemented).filter(|name| TELLING.contains(&name.as_str())) {
        faults.push(format!("{SECRET}: a Secret must not be {name}"));
    }
    let compared = code.split_once("fn matches").map_or("", |(_, body)| body);
    let compared = compared.split_once('}').map_or("", |(body, _)| body);
    if !compared.contains("ct_eq") || compared.contains("==") {
        faults.push(format!("{SECRET}: keys are not compared in constant time"));
    }
    faults
}

#[test]
fn reading_the_wall_clock_is_found() {
    let reads = "use std::time::SystemTime;";
    assert_eq!(wall_clock_faults("src/access/rate_limit.rs", reads).len(), 1);
    assert_eq!(wall_clock_faults("src/http/worker.rs", "").len(), 1);
    assert!(wall_clock_faults("src/http/worker.rs", reads).is_empty());
    assert!(wall_clock_faults("src/a.rs", "use std::time::Instant; // SystemTime").is_empty());
}

#[test]
fn a_secret_out_of_its_type_is_found() {
    assert_eq!(exposure_faults("src/a.rs", "key.expose()").len(), 1);
    assert_eq!(exposure_faults("src/config/auth.rs", "").len(), 1);
    assert!(exposure_faults("src/a.rs", "fn expose() {} // .expose()").is_empty());
}

#[test]
fn a_secret_that_can_be_printed_or_timed_is_found() {
    let good = "#[derive(Clone)]\npub struct Secret(String);\n\
                impl Secret { fn matches(&self) -> bool { self.0.ct_eq(b).into() } }";
    assert!(secret_faults(good).is_empty());
    for bad in [
        good.replace("Clone", "Clone, Debug"),
        good.replace("Clone", "Clone, PartialEq, Eq"),
        format!("{good}\nimpl fmt::Display for Secret {{}}"),
        format!("{good}\nimpl<'a> Serialize for Secret {{}}"),
        good.replace("self.0.ct_eq(b).into()", "self.0 == b"),
        good.replace("pub struct", "struct"),
    ] {
        assert!(!secret_faults(&bad).is_empty(), "{bad}");
    }
}
