//! Requests at the edge of what is allowed, and what is said of keys that a client made up.

use tidegate_protocol::native::{self, Limits};
use tidegate_protocol::{Failure, Message, Role, openai};

const LIMITS: Limits = Limits {
    max_content_chars: 10,
    max_messages: 3,
    default_temperature: 0.7,
    default_max_tokens: 2048,
    max_tokens: 4096,
};

/// The field of the one fault there is.
fn field(failure: Failure) -> String {
    let [fault] = failure.details.try_into().expect("one fault");
    fault.field
}

/// What a client is told about a field that the gateway does not know.
fn unknown(name: &str) -> String {
    let name = serde_json::to_string(name).unwrap();
    let body = format!(r#"{{"messages":[{{"role":"user","content":"x"}}],{name}:1}}"#);
    field(native::decode_request(body.as_bytes(), &LIMITS).expect_err(&body))
}

#[test]
fn a_clients_key_is_repeated_without_controls_and_not_at_any_length() {
    let exact = "k".repeat(64);
    for (name, told) in [
        ("top k", "top k"),
        ("clé", "clé"),
        ("a\r\nevent: error\u{0}\u{1b}[31m", "aevent: error[31m"),
        (&exact, &exact),
        (&"k".repeat(65), &exact),
        (&"é".repeat(65), &"é".repeat(64)),
    ] {
        assert_eq!(unknown(name), told);
    }
}

#[test]
fn a_slip_among_much_noise_is_no_slip() {
    let hint = |name: &str| {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"x"}}],"{name}":1}}"#);
        let failure = native::decode_request(body.as_bytes(), &LIMITS).expect_err(&body);
        failure.message.contains("did you mean")
    };
    let with_noise = |length: usize| format!("{:_<length$}", "maxTokens");
    assert!(hint(&with_noise(32)));
    assert!(!hint(&with_noise(33)) && !hint(&with_noise(1000)));
}

#[test]
fn as_many_messages_as_allowed_and_one_more() {
    let with = |count: usize| {
        let messages = vec![r#"{"role":"user","content":"0123456789"}"#; count].join(",");
        native::decode_request(format!("{{\"messages\":[{messages}]}}").as_bytes(), &LIMITS)
    };
    let said = Message::text(Role::User, "0123456789");
    assert_eq!(with(3).unwrap().chat().unwrap().messages, vec![said; 3]);
    let failure = with(4).unwrap_err();
    assert_eq!(failure.message, "messages: must hold at most 3 messages, not 4");
}

#[test]
fn as_many_choices_as_openai_allows() {
    let with = |n: &str| {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"x"}}],"n":{n}}}"#);
        openai::decode_request(body.as_bytes())
    };
    for (n, choices) in [("null", 1), ("1", 1), ("2", 2), ("128", 128)] {
        let request = with(n).unwrap();
        let places: Vec<_> =
            request.losses.refused().iter().map(|fault| fault.field.as_str()).collect();
        let expected: &[&str] = if choices > 1 { &["n"] } else { &[] };
        assert_eq!(
            (request.original.as_ref().unwrap().choices(), places.as_slice()),
            (choices, expected),
            "{n}"
        );
    }
    for n in ["0", "129", "-1", "1.5", "4294967297"] {
        assert_eq!(field(with(n).expect_err(n)), "n");
    }
}

#[test]
fn only_an_assistant_calls_tools_and_only_a_tool_answers() {
    let call = r#"{"id":"c","function":{"name":"f","arguments":"{}"}}"#;
    let message = |role: &str| {
        format!(
            r#"{{"role":"{role}","content":"","reasoning":"r","refusal":"no","tool_calls":[{call}],
                 "tool_call_id":"c"}}"#
        )
    };
    let messages = ["assistant", "tool", "user", "system"].map(message).join(",");
    let request = openai::decode_request(format!(r#"{{"messages":[{messages}]}}"#).as_bytes());
    let request = request.unwrap();
    let said = &request.chat().unwrap().messages;
    assert_eq!(said.iter().map(|of| of.tool_calls.len()).collect::<Vec<_>>(), [1, 0, 0, 0]);
    assert_eq!(said.iter().map(|of| of.content.len()).collect::<Vec<_>>(), [2, 0, 0, 0]);
    let answered = said.iter().map(|of| of.tool_call_id.is_some()).collect::<Vec<_>>();
    assert_eq!(answered, [false, true, false, false]);
    let of_others = ["reasoning", "refusal", "tool_calls", "tool_call_id"];
    let all = |index: usize, names: &[&str]| {
        names.iter().map(|name| format!("messages[{index}].{name}")).collect::<Vec<_>>()
    };
    let ignored =
        [all(0, &of_others[3..]), all(1, &of_others[..3]), all(2, &of_others), all(3, &of_others)];
    assert_eq!(request.losses.ignored(), ignored.concat());
}

#[test]
fn a_fault_of_the_body_itself_has_no_path() {
    for body in ["{\"model\":\"m\",}", "{1:2}", "{\"messages\":[]"] {
        let failure = openai::decode_request(body.as_bytes()).expect_err(body);
        let (_, column) = failure.message.rsplit_once(" at line 1 column ").expect(body);
        assert!(column.parse::<u32>().is_ok(), "{failure}");
    }
}

#[test]
fn the_path_to_a_fault_is_shown_up_to_200_bytes() {
    let twice = |last: usize| {
        let keys = [60, 60, 60, last].map(|length| format!("{{\"{}\":", "k".repeat(length)));
        let body = format!("{}[{{\"a\":1,\"a\":2}}]}}}}}}}}", keys.concat());
        openai::decode_request(body.as_bytes()).expect_err(&body).details[0].field.clone()
    };
    assert!(twice(17).ends_with("k[0].a"), "{}", twice(17));
    assert!(twice(18).ends_with("k....a"), "{}", twice(18));
}
