"""What is tried: every client at every kind of upstream, all that it can do, and every fault."""

import dataclasses

import pytest

from clients import CLIENTS, RESPONSES, TEXTS, Client
from matrix import ENGINES, SCRIPTED, Case

# Small models call no tools, and what else is left out here is no other at an engine.
AT_ENGINES = ["chat", "stream", "respond", "respond streamed", *TEXTS, "embed", "models", "count"]
LEAVING = ["leave", "leave response", "cancel response"]
CHATS = ["chat", "stream", "command", "respond", "respond streamed"]
TOOLS = ["chat tools", "stream tools", "respond tools", "respond streamed tools"]


@dataclasses.dataclass(frozen=True)
class Fault:
    """`words` are in what a client tells, one of them; the status is there if nothing had begun."""

    name: str
    model: str
    status: int
    words: list[str]
    operations: list[str]
    upstreams: list[str]
    prompt: str = "Say it."


# Ollama's command goes on to fetch what it does not find.
UNKNOWN = ["no such model", "models are not managed here"]
CUT = ["ends before its end", "ended without saying that the answer is complete"]
FAULTS = [
    Fault("unknown", "nowhere", 404, UNKNOWN, [*CHATS, *TEXTS, "embed"], SCRIPTED),
    # Asked for what models of its type do not do.
    Fault("invalid", "vectors.{}", 400, ["model of type"], [*CHATS, *TEXTS], SCRIPTED),
    Fault("invalid", "say.{}", 400, ["model of type"], ["embed"], SCRIPTED),
    Fault("busy", "busy.{}", 503, ["busy"], [*CHATS, *TEXTS], SCRIPTED),
    Fault("cut", "cut.{}", 502, CUT, [*CHATS, *TEXTS, *TOOLS], SCRIPTED),
    Fault("fail", "fail.{}", 502, ["out of luck"], [*CHATS, *TEXTS, *TOOLS], SCRIPTED),
    Fault("uncounted", "say.{}", 400, ["cannot count tokens"], ["count"], ["ollama"]),
    Fault("lacking", "lacking.{}", 502, ["not found"], CHATS, ["Ollama"]),
    Fault("too long", "real.{}", 400, ["context size"], CHATS, ["llama.cpp"], "word " * 3000),
]


def answers() -> list[Case]:
    return [
        (client.name, upstream, operation)
        for client in CLIENTS
        for upstream in SCRIPTED + ENGINES
        for operation in client.operations
        if operation not in LEAVING and is_there(upstream, operation)
    ]


def is_there(upstream: str, operation: str) -> bool:
    if operation == "count":
        # Only the engine that answers knows what is right.
        return upstream == "llama.cpp"
    return upstream in SCRIPTED or operation in AT_ENGINES


def leaving() -> list[Case]:
    return [
        (client.name, upstream, operation)
        for client in CLIENTS
        for upstream in SCRIPTED + ENGINES
        for operation in client.operations
        if operation in LEAVING
    ]


def failures() -> list[tuple[Case, Fault]]:
    return [
        ((client.name, upstream, operation), fault)
        for client in CLIENTS
        for fault in FAULTS
        for upstream in fault.upstreams
        for operation in client.operations
        if operation in fault.operations
    ]
