"""The catalogue: what an upstream does wrong, and what its client must be told."""

import dataclasses
import gzip
import json
from collections.abc import Callable

from scripted import CLOSE, END, HANG, RESET, Step, chunked, head, response
from setting import LARGEST
from wires import Wire

# So many tokens come before a fault that is not at the beginning.
BEFORE = 3

ANY = -1
JSON = "application/json"


@dataclasses.dataclass(frozen=True)
class Fault:
    """One way to fail.

    `streamed` and `whole` are what the upstream does; none where there is no such case. `code` is
    what the client is told. `tokens` is how many of them reach the client of a stream: `ANY` where
    a reset may have swallowed some. `attempts` is how often the upstream may be asked at most.
    """

    name: str
    code: str
    streamed: Callable[[Wire], list[Step]]
    whole: Callable[[Wire], list[Step]] | None
    tokens: int = 0
    attempts: int = 1
    base_url: str = "http://127.0.0.1:{port}"
    limits: dict[str, float] = dataclasses.field(default_factory=dict)

    def model(self, wire: Wire) -> str:
        return f"{self.name.replace(' ', '-')}.{wire.name}"


def opened(wire: Wire, *more: str) -> bytes:
    return head(200, f"content-type: {wire.content_type}", "transfer-encoding: chunked", *more)


def begun(wire: Wire) -> list[Step]:
    """A stream that has given some tokens."""
    return [opened(wire), *map(chunked, wire.opening + wire.tokens[:BEFORE])]


def spoilt(wire: Wire, frame: bytes) -> list[Step]:
    """A stream with a bad frame, healthy before and after it."""
    after = wire.tokens[BEFORE:] + wire.closing
    return [*begun(wire), chunked(frame), *map(chunked, after), END]


def announced(wire: Wire) -> bytes:
    """The head of an answer in one piece."""
    length = f"content-length: {len(wire.whole)}"
    return head(200, f"content-type: {JSON}", length)


def half(wire: Wire) -> bytes:
    return wire.whole[: len(wire.whole) // 2]


def refusal(status: int, code: str, *headers: str, attempts: int = 1) -> Fault:
    error = {"message": "no", "type": "none", "code": status}
    body = json.dumps({"error": error}).encode()

    def refuse(_: Wire) -> list[Step]:
        return [response(status, body, *headers)]

    name = " ".join([f"status {status}", *(["retry after"] if headers else [])])
    return Fault(name, code, refuse, refuse, attempts=attempts)


def both(name: str, code: str, *steps: Step, **more: object) -> Fault:
    """A fault before the upstream has said whether it streams."""
    return Fault(name, code, lambda _: list(steps), lambda _: list(steps), **more)


def cuts(how: str, step: object) -> list[Fault]:
    """The connection goes away: before the first token, within a frame, after one."""

    def within(wire: Wire) -> list[Step]:
        # Within the text, and within a character of several bytes.
        frame = wire.frame("ü".encode())
        cut = frame[: frame.index(b"\xc3") + 1]
        return [*begun(wire), b"%x\r\n" % len(frame) + cut, step]

    tokens = BEFORE if step is CLOSE else ANY
    return [
        Fault(
            f"{how} before the first token",
            "TRUNCATED",
            lambda wire: [opened(wire), step],
            lambda wire: [announced(wire), step],
        ),
        Fault(
            f"{how} within a frame",
            "TRUNCATED",
            within,
            lambda wire: [announced(wire) + half(wire), step],
            tokens=tokens,
        ),
        Fault(
            f"{how} after a frame",
            "TRUNCATED",
            lambda wire: [*begun(wire), step],
            lambda wire: [announced(wire) + wire.whole[:-1], step],
            tokens=tokens,
        ),
    ]


def malformed(
    name: str, frame: Callable[[Wire], bytes], whole: Callable[[Wire], bytes]
) -> Fault:
    """What the wire format does not allow: a frame, or the answer in one piece."""
    return Fault(
        name,
        "UPSTREAM_PROTOCOL",
        lambda wire: spoilt(wire, frame(wire)),
        lambda wire: [response(200, whole(wire))],
        tokens=BEFORE,
    )


def unframed(content_type: str, body: bytes) -> list[Step]:
    """A body without a length: whenever the connection ends, to HTTP that is a proper end."""
    return [head(200, f"content-type: {content_type}", version="1.0") + body, CLOSE]


def compressed(content_type: str, body: bytes) -> list[Step]:
    packed = gzip.compress(body)
    headers = [f"content-type: {content_type}", "content-encoding: gzip"]
    return [head(200, *headers, f"content-length: {len(packed)}") + packed]


SLOW = {"first_token_timeout_seconds": 1, "idle_timeout_seconds": 1, "total_timeout_seconds": 2}

FAULTS = [
    # Nobody listens on the discard port.
    both("refused", "UPSTREAM_UNREACHABLE", base_url="http://127.0.0.1:9", attempts=0),
    both("not TLS", "UPSTREAM_UNREACHABLE", base_url="https://127.0.0.1:{port}", attempts=0),
    refusal(400, "UPSTREAM_REJECTED"),
    refusal(401, "UPSTREAM_UNAUTHORIZED"),
    refusal(404, "UPSTREAM_NOT_FOUND"),
    refusal(409, "UPSTREAM_ERROR"),
    refusal(429, "UPSTREAM_RATE_LIMITED"),
    refusal(429, "UPSTREAM_RATE_LIMITED", "retry-after: 1", attempts=2),
    refusal(500, "UPSTREAM_ERROR"),
    refusal(503, "UPSTREAM_OVERLOADED", attempts=2),
    # Where the connection had served before, it may have gone stale: it is replaced, once.
    both("closed before the head", "UPSTREAM_ERROR", CLOSE, attempts=2),
    both("reset before the head", "UPSTREAM_ERROR", RESET, attempts=2),
    both("no HTTP", "UPSTREAM_PROTOCOL", b"SSH-2.0-OpenSSH_9.9\r\n\r\n", CLOSE),
    both("hang before the head", "UPSTREAM_TIMEOUT", HANG, limits=SLOW),
    Fault(
        "hang before the first token",
        "UPSTREAM_TIMEOUT",
        lambda wire: [opened(wire), HANG],
        lambda wire: [announced(wire), HANG],
        limits=SLOW,
    ),
    Fault(
        "stall",
        "UPSTREAM_TIMEOUT",
        lambda wire: [*begun(wire), HANG],
        lambda wire: [announced(wire) + half(wire), HANG],
        tokens=BEFORE,
        limits=SLOW,
    ),
    *cuts("closed", CLOSE),
    *cuts("reset", RESET),
    Fault(
        "closed without a length",
        "TRUNCATED",
        lambda wire: unframed(
            wire.content_type, b"".join(wire.opening + wire.tokens[:BEFORE])
        ),
        lambda wire: unframed(JSON, half(wire)),
        tokens=BEFORE,
    ),
    Fault(
        "ended too early",
        "TRUNCATED",
        lambda wire: [*begun(wire), END],
        lambda wire: [response(200, half(wire))],
        tokens=BEFORE,
    ),
    Fault(
        "empty answer",
        "TRUNCATED",
        lambda wire: [opened(wire), END],
        lambda wire: [response(200, b"")],
    ),
    Fault(
        "error in the answer",
        "UPSTREAM_ERROR",
        lambda wire: [*begun(wire), chunked(wire.error), END],
        lambda wire: [response(200, b'{"error":{"message":"out of luck","code":500}}')],
        tokens=BEFORE,
    ),
    malformed(
        "half a frame",
        lambda wire: wire.tokens[BEFORE][:-9] + wire.tokens[BEFORE][-2:],
        lambda _: b"<html>502 Bad Gateway</html>",
    ),
    # All that a token has, but no JSON.
    malformed(
        "garbage",
        lambda wire: wire.frame(b'oops" "'),
        lambda wire: wire.whole.replace(b"{", b"{{"),
    ),
    malformed(
        "invalid UTF-8",
        lambda wire: wire.frame(b"\xc3(\xff"),
        lambda wire: wire.whole.replace(b"river", b"ri\xffer"),
    ),
    malformed(
        "oversized",
        lambda wire: wire.frame(b"x" * 2 * LARGEST),
        lambda wire: wire.whole.replace(b"river", b"x" * 2 * LARGEST),
    ),
    Fault(
        "gzip",
        "UPSTREAM_PROTOCOL",
        lambda wire: compressed(wire.content_type, b"".join(wire.frames)),
        lambda wire: compressed(JSON, wire.whole),
    ),
]



def held(wire: Wire) -> list[Step]:
    """In one piece: who sees the first of the tokens has them all."""
    return [b"".join(begun(wire)), HANG]


PATIENT = {"first_token_timeout_seconds": 60, "idle_timeout_seconds": 60}
# These two wait for somebody who ends the answer from outside.
HELD = [
    both("held before the first token", "", HANG, limits=PATIENT),
    Fault("held", "", held, None, tokens=BEFORE, limits=PATIENT),
]
