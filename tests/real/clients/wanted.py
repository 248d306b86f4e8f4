"""What scripted upstreams of each kind answer, by the model that is asked."""

import base64
import itertools
import json
import struct

import scripted
import wires
from scripted import CLOSE, END, HANG, Step, Upstream, chunked, response
from wires import PIECES, PROMPT_TOKENS, chunk, ndjson, sse

# Arguments are cut in the middle of a character's escape, of a number and of a key.
CALLS = [
    {"name": "get_weather", "arguments": {"city": "Köln", "days": 12}},
    {"name": "get_time", "arguments": {}},
]
COUNTS = [PROMPT_TOKENS, len(PIECES)]
VECTORS = [[0.25, -1.5, 3.0], [1.0, 0.0, -0.125]]
# Models are called by what they do; see `script`.
DEEDS = ["say", "cut", "fail", "busy", "endless", "vectors"]


def openai_calls() -> list[bytes]:
    """Two calls whose fragments are interleaved, as servers send them that call in parallel."""
    first, second = (json.dumps(call["arguments"]) for call in CALLS)
    begun = [
        {"index": index, "id": f"call_{index}", "type": "function"}
        | {"function": {"name": call["name"], "arguments": ""}}
        for index, call in enumerate(CALLS)
    ]
    pieces = [first[at : at + 5] for at in range(0, len(first), 5)]
    deltas = [begun[0], begun[1]]
    for one, two in itertools.zip_longest(pieces, second):
        deltas += [{"index": 0, "function": {"arguments": one}}] if one else []
        deltas += [{"index": 1, "function": {"arguments": two}}] if two else []
    begin = sse(chunk({"role": "assistant", "content": None}))
    frames = [sse(chunk({"tool_calls": [delta]})) for delta in deltas]
    usage = sse(chunk({}) | {"choices": [], "usage": openai_usage()})
    return [begin, *frames, sse(chunk({}, "tool_calls")), usage, b"data: [DONE]\n\n"]


def openai_usage() -> dict:
    prompt, completion = COUNTS
    return dict(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
    )


def openai_calls_whole() -> bytes:
    calls = [
        {"id": f"call_{index}", "type": "function"}
        | {"function": {"name": call["name"], "arguments": json.dumps(call["arguments"])}}
        for index, call in enumerate(CALLS)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    body = {"object": "chat.completion", "choices": [choice], "usage": openai_usage()}
    return json.dumps(chunk({}) | body).encode()


def ollama_calls() -> list[dict]:
    calls = [{"function": call} for call in CALLS]
    said = {"role": "assistant", "content": "", "tool_calls": calls}
    end = {"done": True, "done_reason": "stop"}
    end |= {"prompt_eval_count": COUNTS[0], "eval_count": COUNTS[1]}
    begun = {"model": "scripted", "created_at": "2026-01-01T00:00:00Z"}
    return [
        begun | {"message": said, "done": False},
        begun | {"message": {"role": "assistant", "content": ""}} | end,
    ]


def texts(kind: str, streamed: bool) -> list[bytes]:
    """A text that was continued: frames, or the one body."""
    if kind == "ollama":
        begun = {"model": "scripted", "created_at": "2026-01-01T00:00:00Z"}
        end = {"done": True, "done_reason": "stop"}
        end |= {"prompt_eval_count": COUNTS[0], "eval_count": COUNTS[1]}
        if not streamed:
            return [json.dumps(begun | {"response": wires.TEXT} | end).encode()]
        pieces = [begun | {"response": piece, "done": False} for piece in PIECES]
        return [ndjson(piece) for piece in [*pieces, begun | {"response": ""} | end]]
    begun = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "scripted"}
    usage = openai_usage()

    def choice(text: str, reason: str | None) -> dict:
        return {"choices": [{"index": 0, "text": text, "finish_reason": reason, "logprobs": None}]}

    if not streamed:
        return [json.dumps(begun | choice(wires.TEXT, "stop") | {"usage": usage}).encode()]
    frames = [sse(begun | choice(piece, None)) for piece in PIECES]
    end = [sse(begun | choice("", "stop")), sse(begun | {"choices": [], "usage": usage})]
    return [*frames, *end, b"data: [DONE]\n\n"]


def vectors(kind: str, request: dict) -> list[Step]:
    count = len(request["input"]) if isinstance(request["input"], list) else 1
    if kind == "ollama":
        body = {"model": "scripted", "embeddings": VECTORS[:count], "prompt_eval_count": 5}
    else:
        data = [
            {"object": "embedding", "index": index, "embedding": encoded(vector, request)}
            for index, vector in enumerate(VECTORS[:count])
        ]
        usage = {"prompt_tokens": 5, "total_tokens": 5}
        body = {"object": "list", "data": data, "model": "scripted", "usage": usage}
    return [response(200, json.dumps(body).encode())]


def encoded(vector: list[float], request: dict) -> list[float] | str:
    if request.get("encoding_format") != "base64":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def answer(kind: str, request: dict) -> tuple[list[bytes], bytes]:
    """Frames of a streamed answer, and the one body of a whole one."""
    wire = next(wire for wire in wires.WIRES if wire.name == kind)
    if "prompt" in request:
        return texts(kind, True), texts(kind, False)[0]
    if request.get("tools"):
        if kind == "ollama":
            lines = ollama_calls()
            whole = lines[1] | {"message": lines[0]["message"]}
            return [ndjson(line) for line in lines], json.dumps(whole).encode()
        return openai_calls(), openai_calls_whole()
    return wire.frames, wire.whole


def script(kind: str, request: dict) -> list[Step]:
    """What an upstream of this kind does; Ollama streams unless it is told not to."""
    if not request.keys() & {"messages", "prompt", "input"}:
        # Asked about a model, which is no business of these.
        return [response(404, b'{"error":"no such endpoint"}')]
    model = request["model"].split(".")[0]
    if "input" in request:
        return vectors(kind, request)
    wire = next(wire for wire in wires.WIRES if wire.name == kind)
    frames, whole = answer(kind, request)
    opened = scripted.head(200, f"content-type: {wire.content_type}", "transfer-encoding: chunked")
    streamed = request.get("stream", kind == "ollama")
    if model == "busy":
        return [response(503, b'{"error":{"message":"busy"}}', "retry-after: 30"), CLOSE]
    # Within a call, if it comes in pieces; all of it but its end if it does not.
    half = [opened, *map(chunked, frames[: min(4, len(frames) - 1)])]
    if model == "cut":
        # A clean end of the body, and no end mark: nothing but the dialect tells.
        return [*half, END, CLOSE] if streamed else [response(200, whole)[:-20], CLOSE]
    if model == "fail":
        return [*half, chunked(wire.error), END, CLOSE]
    if model == "endless":
        return [*half, HANG]
    return [opened, *map(chunked, frames), END] if streamed else [response(200, whole)]


def upstream(kind: str) -> Upstream:
    return Upstream(lambda request: script(kind, request))
