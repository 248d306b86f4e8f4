"""The wires of both kinds of upstream, as lists of frames that a script may cut and spoil."""

import dataclasses
import json

# Characters of one to four bytes, a line break, what JSON escapes, what SSE might take for a field.
PIECES = ["The ", "river\n", "\ndata: ran ", 'to "the" ', "sea – ", "größer ", "als 🌊 ", "zuvor."]
TEXT = "".join(PIECES)
PROMPT_TOKENS = 7


def line(value: dict) -> str:
    return json.dumps(value, ensure_ascii=False)


@dataclasses.dataclass(frozen=True)
class Wire:
    """`opening`, `tokens` and `closing` are an answer's frames when it is streamed."""

    name: str
    content_type: str
    opening: list[bytes]
    tokens: list[bytes]
    closing: list[bytes]
    whole: bytes
    error: bytes
    # A frame with this piece of text, given as the bytes that stand between the quotes.
    before_text: bytes
    after_text: bytes

    def frame(self, text: bytes) -> bytes:
        return self.before_text + text + self.after_text

    @property
    def frames(self) -> list[bytes]:
        return self.opening + self.tokens + self.closing


def sse(value: dict) -> bytes:
    return f"data: {line(value)}\n\n".encode()


def ndjson(value: dict) -> bytes:
    return f"{line(value)}\n".encode()


def chunk(delta: dict, finish: str | None = None) -> dict:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def openai() -> Wire:
    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": len(PIECES),
        "total_tokens": PROMPT_TOKENS + len(PIECES),
    }
    message = {"role": "assistant", "content": TEXT}
    whole = chunk({}) | {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }
    before, after = sse(chunk({"content": "|"})).split(b"|")
    return Wire(
        "openai",
        "text/event-stream",
        [sse(chunk({"role": "assistant", "content": None}))],
        [sse(chunk({"content": piece})) for piece in PIECES],
        [sse(chunk({}, "stop")), sse(chunk({}) | {"choices": [], "usage": usage})]
        + [b"data: [DONE]\n\n"],
        line(whole).encode(),
        sse({"error": {"message": "out of luck", "type": "server_error", "code": 500}}),
        before,
        after,
    )


def ollama() -> Wire:
    def said(text: str, **more: object) -> dict:
        begun = {"model": "scripted", "created_at": "2026-01-01T00:00:00Z"}
        message = {"role": "assistant", "content": text}
        return begun | {"message": message, "done": False} | more

    numbers = {"prompt_eval_count": PROMPT_TOKENS, "eval_count": len(PIECES)}
    end = {"done": True, "done_reason": "stop", "total_duration": 5, **numbers}
    before, after = ndjson(said("|")).split(b"|")
    return Wire(
        "ollama",
        "application/x-ndjson",
        [],
        [ndjson(said(piece)) for piece in PIECES],
        [ndjson(said("", **end))],
        line(said(TEXT, **end)).encode(),
        ndjson({"error": "out of luck: unexpected EOF"}),
        before,
        after,
    )


WIRES = [openai(), ollama()]
