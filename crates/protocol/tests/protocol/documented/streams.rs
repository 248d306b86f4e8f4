//! Streams as Anthropic and OpenAI document them to clients: the strict readers, to which every
//! stream of the gateway is held, take them. A reader stricter than the vendor would hold the
//! gateway to a grammar of its own.

use crate::anthropic::reader as messages;
use crate::held::folder;
use crate::responses::reader as responses;

fn documented(name: &str) -> String {
    std::fs::read_to_string(folder("documented/streams").join(name)).unwrap()
}

#[test]
fn messages_are_read() {
    let text = |name: &str| {
        let read = messages::read(&documented(name));
        let told = read.blocks.iter().map(|block| match block {
            messages::Block::Thinking(text) => format!("thinking: {text}"),
            messages::Block::Text(text) => format!("text: {text}"),
            messages::Block::Call { name, input, .. } => format!("{name}: {input}"),
        });
        let end = read.error.or(read.stop_reason).unwrap();
        told.chain([end]).collect::<Vec<_>>()
    };
    assert_eq!(text("anthropic-basic.sse"), ["text: Hello!", "end_turn"]);
    let call = "get_weather: {\"location\": \"San Francisco\"}";
    assert_eq!(text("anthropic-tools.sse"), ["text: Let me check.", call, "tool_use"]);
    let thought = ["thinking: Step by step.", "text: 12,231", "end_turn"];
    assert_eq!(text("anthropic-thinking.sse"), thought);
    assert_eq!(text("anthropic-error.sse"), ["text: Hel", "overloaded_error"]);
}

#[test]
fn responses_are_read() {
    let said = responses::read(&documented("responses-text.sse"));
    assert_eq!((&*said.joined("message"), &*said.terminal), ("Hi there!", "response.completed"));
    let called = responses::read(&documented("responses-functions.sse"));
    let call = ("get_weather".to_owned(), "{\"location\":\"Paris, France\"}".to_owned());
    assert_eq!(called.calls(), [call]);
}
