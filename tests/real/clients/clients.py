"""The clients that people use, each in a process of its own which does many jobs at a time."""

import dataclasses
import os
import pathlib
from collections.abc import Callable

import nodejs

HERE = pathlib.Path(__file__).parent
PARTS = pathlib.Path(os.environ["REAL_PARTS"])
COMMON = ["chat", "stream", "stream tools", "leave"]
OPENAI = [*COMMON, "chat tools", "complete", "complete streamed", "embed", "models"]
RESPONSES = [
    "respond",
    "respond tools",
    "respond streamed",
    "respond streamed tools",
    "leave response",
    "keep",
]


@dataclasses.dataclass(frozen=True)
class Client:
    """`command` wants the gateway's URL after the script. `said` and `called` are its words for an answer that ended, and for one that calls tools."""

    name: str
    command: Callable[[], list[str]]
    operations: list[str]
    said: str | None
    called: str | None


def python(script: str, *arguments: str, venv: str = "clients") -> Callable[[], list[str]]:
    return lambda: [str(PARTS / venv / "bin/python"), str(HERE / script), *arguments]


def node(script: str, *arguments: str) -> Callable[[], list[str]]:
    def command() -> list[str]:
        # What it imports must lie beside it.
        nodejs.command(HERE / "clients.mjs")
        return nodejs.command(HERE / script, *arguments)

    return command



_LANGCHAIN = [*COMMON, "chat tools", "embed"]
CLIENTS = [
    Client(
        "openai Python 1",
        python("use_openai.py", venv="openai1"),
        OPENAI + RESPONSES,
        "stop",
        "tool_calls",
    ),
    Client("openai Python", python("use_openai.py"), OPENAI + RESPONSES, "stop", "tool_calls"),
    Client("openai Node 6", node("use_openai.mjs", "openai"), OPENAI + RESPONSES, "stop", "tool_calls"),
    Client(
        "openai Node",
        node("use_openai.mjs", "openai-newest"),
        OPENAI + RESPONSES,
        "stop",
        "tool_calls",
    ),
    Client("anthropic Python", python("use_anthropic.py"), [*COMMON, "chat tools"], "end_turn", "tool_use"),
    Client("anthropic Node", node("use_anthropic.mjs"), [*COMMON, "chat tools"], "end_turn", "tool_use"),
    Client("ollama Python", python("use_ollama.py"), OPENAI, "stop", "stop"),
    Client("ollama Node", node("use_ollama.mjs"), OPENAI, "stop", "stop"),
    Client("langchain-openai", python("use_langchain.py", "openai"), _LANGCHAIN, "stop", "tool_calls"),
    Client("langchain-ollama", python("use_langchain.py", "ollama"), _LANGCHAIN, "stop", "stop"),
    Client("Vercel AI SDK", node("use_ai.mjs"), _LANGCHAIN, "stop", "tool-calls"),
    Client("llm", python("use_llm.py"), ["chat", "stream", "stream tools"], None, None),
]
