//! Bodies that two readers may understand differently are refused, whatever the dialect.

use tidegate_protocol::native::{self, Limits};
use tidegate_protocol::{ErrorKind, Failure, openai};

const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

fn refused(body: &str) -> Failure {
    let failure = openai::decode_request(body.as_bytes()).expect_err(body);
    assert_eq!(failure.kind, ErrorKind::InvalidRequest, "{body}");
    failure
}

fn refused_fields(body: &str) -> Vec<String> {
    refused(body).details.into_iter().map(|fault| fault.field).collect()
}

fn with(fields: &str) -> String {
    format!("{{{MESSAGES},{fields}}}")
}

#[test]
fn a_key_that_comes_twice_is_named_wherever_it_is() {
    for (fields, place) in [
        (r#""model":"a","model":"b""#, "model"),
        (r#""model":"a","model":"a""#, "model"),
        (r#""mod\u0065l":"a","model":"b""#, "model"),
        (r#""x":{"a":1,"b":2,"a":3}"#, "x.a"),
        (r#""x":[0,{"y":[{"k":1,"k":1}]}]"#, "x[1].y[0].k"),
        (r#""tools":[{"type":"function","type":"x"}]"#, "tools[0].type"),
        (
            r#""stream_options":{"include_usage":true,"include_usage":false}"#,
            "stream_options.include_usage",
        ),
        (r#""x":{"":1,"":2}"#, "x."),
    ] {
        assert_eq!(refused_fields(&with(fields)), [place], "{fields}");
    }
    let twice = r#"{"messages":[{"role":"user","content":"a","content":"b"}]}"#;
    assert_eq!(refused_fields(twice), ["messages[0].content"]);
    let native = native::decode_request(twice.as_bytes(), &LIMITS).expect_err(twice);
    assert_eq!(native.details[0].field, "messages[0].content");
}

const LIMITS: Limits = Limits {
    max_content_chars: 10,
    max_messages: 4,
    default_temperature: 1.0,
    default_max_tokens: 1,
    max_tokens: 1,
};

#[test]
fn the_same_key_in_different_objects_is_no_fault() {
    let body = with(r#""x":[{"a":{"a":1}},{"a":1,"A":2}],"a":1"#);
    assert!(openai::decode_request(body.as_bytes()).is_ok(), "{body}");
}

#[test]
fn a_field_spelt_like_a_known_one_but_for_case_is_refused() {
    for name in
        ["Model", "MODEL", "Stream", "\u{17f}tream", "N", "Max_Tokens", "toolS", "To\u{f6}ls"]
    {
        let body = with(&format!("{name:?}:1"));
        if name == "To\u{f6}ls" {
            assert!(openai::decode_request(body.as_bytes()).is_ok(), "{body}");
        } else {
            assert!(refused(&body).message.contains("must be spelt"), "{body}");
        }
    }
}

#[test]
fn values_nest_a_hundred_levels_deep_and_no_deeper() {
    // The body itself is the first.
    let lists = |depth: usize| with(&format!("\"x\":{}{}", "[".repeat(depth), "]".repeat(depth)));
    let objects = |depth: usize| {
        let open = "{\"k\":".repeat(depth - 1);
        with(&format!("\"x\":{open}{{}}{}", "}".repeat(depth - 1)))
    };
    for body in [lists(99), objects(99)] {
        assert!(openai::decode_request(body.as_bytes()).is_ok(), "{body}");
    }
    for body in [lists(100), objects(100), lists(100_000), objects(100_000)] {
        let failure = refused(&body);
        assert_eq!(failure.message, "x: nests deeper than 100 levels");
    }
    let open = with(&format!("\"x\":{}", "[".repeat(100_000)));
    assert_eq!(refused(&open).message, "x: nests deeper than 100 levels");
}

#[test]
fn what_json_does_not_know_is_refused_in_unknown_fields_too() {
    for value in [
        "1e999",
        "-1e999",
        "NaN",
        "Infinity",
        "+1",
        "01",
        "0x1",
        "'a'",
        "[1,]",
        "{\"a\":1,}",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\u{0}\"",
        "\"\n\"",
        "\"\\x\"",
        "tru",
        "1 2",
        "\"\\u12\"",
    ] {
        let failure = refused(&with(&format!("\"x\":{value}")));
        assert!(failure.message.starts_with("the body is not valid JSON: "), "{failure}");
        assert!(failure.message.contains(" at line "), "{failure}");
    }
    let whole = with("\"x\":1");
    for (body, told) in [
        (String::new(), "the body is empty"),
        ("\r\n \t".to_owned(), "the body is empty"),
        (format!("\u{feff}{whole}"), "byte order mark"),
        (format!("{whole}{whole}"), "trailing characters"),
        (format!("{whole}\u{0}"), "trailing characters"),
        (format!("[{whole}]"), "must be a JSON object"),
        ("null".to_owned(), "must be a JSON object"),
    ] {
        assert!(refused(&body).message.contains(told), "{body}");
    }
    let failure = openai::decode_request(b"{\"x\":\"\xff\"}").expect_err("not UTF-8");
    assert!(failure.message.contains("not UTF-8 from byte 6 on"), "{failure}");
}

#[test]
fn what_is_said_of_a_hostile_body_is_short() {
    let deep = |inner: &str| {
        let key = "k".repeat(60);
        let open = format!("{{\"{key}\":").repeat(90);
        with(&format!("\"x\":{open}{inner}{}", "}".repeat(90)))
    };
    let twice = refused(&deep(r#"{"a":1,"a":2}"#));
    assert!(twice.message.len() < 400, "{twice}");
    let long = "k".repeat(1_000_000);
    assert!(refused(&with(&format!("\"{long}\":1,\"{long}\":2"))).message.len() < 200);
    let many = "\"k\":0,".repeat(100_000);
    assert!(refused(&with(&format!("{many}\"l\":0"))).details.len() <= 65);
}
