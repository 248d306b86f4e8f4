"""Healthy answers, as odd as their formats allow."""

import dataclasses
from collections.abc import Callable

from faults import JSON, opened, unframed
from scripted import END, Pause, Step, chunked, response
from wires import Wire

# Several signs of life are due in each.
PAUSE = Pause(0.12)


@dataclasses.dataclass(frozen=True)
class Healthy:
    """`streamed` is what the upstream does; an answer in one piece comes after `pause`, if any."""

    name: str
    streamed: Callable[[Wire], list[Step]]
    pause: bool = False

    def whole(self, wire: Wire) -> list[Step]:
        return [PAUSE, PAUSE] * self.pause + [response(200, wire.whole)]

    def model(self, wire: Wire) -> str:
        return f"{self.name.replace(' ', '-')}.{wire.name}"


def at_once(wire: Wire) -> list[Step]:
    return [opened(wire), *map(chunked, wire.frames), END]


def slow_prompt(wire: Wire) -> list[Step]:
    """Silent before the head, and between it and the first token."""
    return [PAUSE, opened(wire), PAUSE, PAUSE, *map(chunked, wire.frames), END]


def slow_tokens(wire: Wire) -> list[Step]:
    frames = [step for frame in wire.frames for step in (PAUSE, chunked(frame))]
    return [opened(wire), *frames, PAUSE, END]


def in_crumbs(wire: Wire) -> list[Step]:
    """Every seven bytes a chunk of their own."""
    body = b"".join(wire.frames)
    crumbs = [body[at : at + 7] for at in range(0, len(body), 7)]
    return [opened(wire), *map(chunked, crumbs), END]


def commented(wire: Wire) -> list[Step]:
    """The upstream's own signs of life, each of the kind that breaks some reader."""
    if wire.name == "openai":
        signs = [b": ping\n\n", b":\n", b"event: ping\n\n", b"retry: 5\n\n", b"id: 7\n\n"]
    else:
        signs = [b"\n", b"\r\n", b" \n"]
    steps = [opened(wire)]
    for number, frame in enumerate(wire.frames):
        sign = chunked(signs[number % len(signs)])
        steps += [sign, PAUSE, sign, chunked(frame)]
    return [*steps, sign, END]


def odd(wire: Wire) -> list[Step]:
    """What the formats allow and nobody expects."""
    if wire.name == "openai":
        frames = [
            b"id: %d\r\ndata:" % number
            + frame.removeprefix(b"data: ").replace(b"\n", b"\r\n")
            for number, frame in enumerate(wire.frames)
        ]
        frames[0] = "\ufeff".encode() + frames[0]
    else:
        frames = [frame.replace(b"\n", b"\r\n") for frame in wire.frames]
    return [opened(wire), *map(chunked, frames), END]


HEALTHY = [
    Healthy("at once", at_once),
    Healthy("slow prompt", slow_prompt, pause=True),
    Healthy("slow tokens", slow_tokens, pause=True),
    Healthy("in crumbs", in_crumbs),
    Healthy("signs of life", commented),
    Healthy("odd line ends", odd),
    Healthy(
        "until the connection closes",
        lambda wire: unframed(wire.content_type, b"".join(wire.frames)),
    ),
]
