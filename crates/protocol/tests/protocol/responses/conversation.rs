//! Items that go on from earlier ones, and what messages they become.

use serde_json::{Value, json};
use tidegate_protocol::responses::Asked;
use tidegate_protocol::{Failure, openai};

use super::{decode, decode_after};

fn messages(asked: &Asked) -> Value {
    let body = openai::encode_request(&asked.request, "m", true).unwrap().body;
    serde_json::from_slice::<Value>(&body).unwrap()["messages"].clone()
}

fn faults(result: Result<Asked, Failure>) -> Vec<String> {
    let details = result.unwrap_err().details;
    details.into_iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect()
}

#[test]
fn a_conversation_goes_on_without_the_earlier_instructions() {
    let first = decode(&json!({"input": "one", "instructions": "be brief"})).unwrap();
    let second = json!({"input": "two", "previous_response_id": "r", "instructions": "be long"});
    let second = decode_after(&second, &first.items).unwrap();
    let expected = json!([
        {"role": "system", "content": "be long"},
        {"role": "user", "content": "one"},
        {"role": "user", "content": "two"},
    ]);
    assert_eq!(messages(&second), expected);
    assert_eq!(second.items.len(), 2);
    assert_eq!(second.items[0].id(), first.items[0].id());
    assert_ne!(second.items[1].id(), first.items[0].id());
}

#[test]
fn a_result_answers_a_call_of_the_earlier_conversation() {
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let result = json!({"type": "function_call_output", "call_id": "c", "output": "1"});
    let earlier = decode(&json!({"input": [call]})).unwrap();
    let body = json!({"input": [result], "previous_response_id": "r"});
    let asked = decode_after(&body, &earlier.items).unwrap();
    assert_eq!(messages(&asked)[1]["tool_call_id"], "c");
    let alone = faults(decode(&json!({"input": [result]})));
    assert_eq!(alone, ["input[0].call_id: no function_call before it has this call_id"]);
}

#[test]
fn only_what_is_known_can_be_referred_to() {
    let earlier = decode(&json!({"input": [{"role": "user", "content": "hi", "id": "msg_1"}]}));
    let earlier = earlier.unwrap();
    let body = |id: &str| {
        json!({"input": [
            {"type": "item_reference", "id": id}, {"role": "user", "content": "ho"},
        ], "previous_response_id": "r"})
    };
    let asked = decode_after(&body("msg_1"), &earlier.items).unwrap();
    assert_eq!(messages(&asked).as_array().unwrap().len(), 2, "it is there already");
    let unknown = faults(decode_after(&body("msg_2"), &earlier.items));
    assert!(unknown[0].starts_with("input[0].id: no item"), "{unknown:?}");
}

#[test]
fn a_response_that_is_not_there_is_a_fault_beside_others() {
    let body = json!({"input": [], "previous_response_id": "resp_x", "store": "yes"});
    let faults = faults(decode(&body));
    let expected = [
        "store: must be true or false",
        "previous_response_id: is not known",
        "input: must hold at least one item",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn one_turn_of_an_assistant_is_one_message() {
    let call =
        |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let result = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": id});
    let thought = |text: &str| {
        json!({"type": "reasoning", "id": "rs", "summary": [], "content": [
            {"type": "reasoning_text", "text": text},
        ]})
    };
    let said = |text: &str| json!({"role": "assistant", "content": text});
    let input = json!([
        thought("first"),
        thought("second"),
        said("a"),
        call("1"),
        thought("third"),
        call("2"),
        thought("fourth"),
        said("b"),
        result("1"),
        result("2"),
        said("c"),
        said("d"),
    ]);
    let calls = ["1", "2"].map(
        |id| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}),
    );
    let expected = json!([
        {"role": "assistant", "content": "ab", "reasoning_content": "first\n\nsecond\n\nthird\n\nfourth",
         "tool_calls": calls},
        {"role": "tool", "content": "1", "tool_call_id": "1"},
        {"role": "tool", "content": "2", "tool_call_id": "2"},
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": "d"},
    ]);
    assert_eq!(messages(&decode(&json!({"input": input})).unwrap()), expected);
}

#[test]
fn thoughts_that_nothing_came_of_are_named() {
    let thought = json!({"type": "reasoning", "id": "rs", "summary": [
        {"type": "summary_text", "text": "so"},
    ]});
    let user = json!({"role": "user", "content": "hi"});
    let said = json!({"role": "assistant", "content": "ho"});
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let result = json!({"type": "function_call_output", "call_id": "c", "output": "1"});
    for (input, without) in [
        (json!([thought, user]), json!([user])),
        (json!([user, thought]), json!([user])),
        (json!([thought, user, said]), json!([user, said])),
        (json!([call, thought, result, said]), json!([call, result, said])),
    ] {
        let asked = decode(&json!({"input": input})).unwrap();
        assert_eq!(messages(&asked), messages(&decode(&json!({"input": without})).unwrap()));
        assert_eq!(asked.request.losses.ignored().len(), 1, "{:?}", asked.request.losses);
    }
}

/// Found by fuzzing: no upstream takes a chat of no messages.
#[test]
fn thoughts_alone_are_refused() {
    let thought = json!({"type": "reasoning", "id": "rs", "summary": []});
    let expected = "input: must hold a message, a call or a result: reasoning alone asks nothing";
    for body in [
        json!({"input": [thought]}),
        json!({"input": [thought, thought], "instructions": "be brief"}),
    ] {
        assert_eq!(faults(decode(&body)), [expected]);
    }
}
