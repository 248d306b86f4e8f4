"""An answer as some reader got it, in a form in which all readers can be compared."""

import dataclasses
import re
from collections.abc import Iterable

from wire import Event, Reply


@dataclasses.dataclass(frozen=True)
class Answer:
    """`pieces` is the text as it was cut into chunks; one piece if it came whole."""

    pieces: list[str]
    finish: str | None
    prompt_tokens: int
    completion_tokens: int

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def as_one(self) -> "Answer":
        return dataclasses.replace(self, pieces=[self.text])


def of_openai_chunks(chunks: Iterable[dict]) -> Answer:
    """The chunks of OpenAI's wire, checked for their order: text, finish reason, usage."""
    chunks = list(chunks)
    assert len({chunk["id"] for chunk in chunks}) == 1, "one id for the whole stream"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    *spoken, last = chunks
    assert last["choices"] == [] and all(chunk.get("usage") is None for chunk in spoken)
    choices = [chunk["choices"][0] for chunk in spoken]
    finishes = [choice.get("finish_reason") for choice in choices]
    assert all(reason is None for reason in finishes[:-1]) and finishes[-1], finishes
    texts = [choice["delta"].get("content") for choice in choices]
    return Answer(list(filter(None, texts)), finishes[-1], **counts(last["usage"]))


def of_openai_whole(body: dict) -> Answer:
    """The one body of OpenAI's wire."""
    assert body["object"] == "chat.completion"
    (choice,) = body["choices"]
    assert choice["message"]["role"] == "assistant"
    text = choice["message"]["content"]
    return Answer([text], choice["finish_reason"], **counts(body["usage"]))


def counts(usage: dict) -> dict[str, int]:
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return {name: usage[name] for name in ("prompt_tokens", "completion_tokens")}


def of_openai_reply(reply: Reply) -> Answer:
    """A streamed reply on OpenAI's wire."""
    assert reply.status == 200, reply.read()
    *chunks, end = [event.data for event in reply.events()]
    assert end == "[DONE]"
    return of_openai_chunks(chunks)


def of_native_reply(reply: Reply, model: str) -> Answer:
    """A streamed reply of the gateway's own dialect."""
    assert reply.status == 200, reply.read()
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-accel-buffering"] == "no"
    return of_native_events(list(reply.events()), reply.request_id, model)


def of_native_events(events: list[Event], request_id: str, model: str) -> Answer:
    """The events of a finished stream: chunks, none empty, and one `done` with the numbers."""
    assert [event.id for event in events] == numbered(request_id, len(events))
    *chunks, done = events
    assert {event.name for event in chunks} == {"chat.completion.chunk"}, events
    assert done.name == "chat.completion.done"
    for event in events:
        assert event.data["model"] == model and event.data["done"] is (event is done)
    pieces = [event.data["content"] for event in chunks]
    assert all(pieces), "no chunk is empty"
    tokens = native_counts(done.data["usage"])
    assert done.data["evalCount"] == tokens["completion_tokens"]
    assert done.data["totalDuration"] > 0
    return Answer(pieces, done.data["finishReason"], **tokens)


def numbered(request_id: str, count: int) -> list[str]:
    assert re.fullmatch(r"[\w-]{8,64}", request_id), request_id
    return [f"{request_id}:{number}" for number in range(1, count + 1)]


def native_counts(usage: dict) -> dict[str, int]:
    assert usage["totalTokens"] == usage["promptTokens"] + usage["completionTokens"]
    return {
        "prompt_tokens": usage["promptTokens"],
        "completion_tokens": usage["completionTokens"],
    }


def of_native_whole(reply: Reply, model: str) -> Answer:
    """The one body of the gateway's own dialect. It tells no finish reason."""
    assert reply.status == 200, reply.read()
    assert reply.headers["content-type"].startswith("application/json")
    body = reply.json()
    assert body["requestId"] == reply.request_id and body["model"] == model
    return Answer([body["content"]], body.get("finishReason"), **native_counts(body["usage"]))
