"""The clients that people use, each in a process of its own which does many jobs."""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Callable

import pytest

import nodejs

HERE = pathlib.Path(__file__).parent
PARTS = pathlib.Path(os.environ["REAL_PARTS"])

COMMON = ["chat", "stream", "chat tools", "stream tools", "leave"]
TEXTS = ["complete", "complete streamed"]
OPENAI = [*COMMON, *TEXTS, "embed", "models"]
RESPONSES = [
    "respond",
    "respond tools",
    "respond streamed",
    "respond streamed tools",
    "leave response",
    "cancel response",
    "keep",
]


@dataclasses.dataclass(frozen=True)
class Words:
    """How a client says that an answer is whole, was cut by its limit, or calls tools."""

    said: str | None
    limited: str | None
    called: str | None


OF_OPENAI = Words("stop", "length", "tool_calls")
OF_ANTHROPIC = Words("end_turn", "max_tokens", "tool_use")
OF_OLLAMA = Words("stop", "length", "stop")
OF_RESPONSES = Words("completed", "incomplete", "completed")
OF_VERCEL = Words("stop", "length", "tool-calls")
NONE = Words(None, None, None)


@dataclasses.dataclass(frozen=True)
class Client:
    """`command` wants the URL after the script, which is the gateway's with `path`."""

    name: str
    command: Callable[[], list[str]]
    path: str
    operations: list[str]
    words: Words

    def finish(self, operation: str) -> Words:
        if operation in RESPONSES:
            return OF_RESPONSES
        return OF_OPENAI if operation in TEXTS else self.words


def python(script: str, *arguments: str, venv: str = "clients") -> Callable[[], list[str]]:
    return lambda: [str(PARTS / venv / "bin/python"), str(HERE / script), *arguments]


def node(script: str, *arguments: str) -> Callable[[], list[str]]:
    def command() -> list[str]:
        # What it imports must lie beside it.
        nodejs.command(HERE / "clients.mjs")
        return nodejs.command(HERE / script, *arguments)

    return command


def ollama_command() -> list[str]:
    program = os.environ.get("OLLAMA_CMD")
    if not program or not shutil.which(program):
        pytest.skip("not run: OLLAMA_CMD is not set")
    return [*python("use_ollama_command.py")(), program]


LANGCHAIN = [*COMMON, "embed"]
CLIENTS = [
    Client(
        "openai Python 1",
        python("use_openai.py", venv="openai1"),
        "/v1",
        OPENAI + RESPONSES,
        OF_OPENAI,
    ),
    Client("openai Python", python("use_openai.py"), "/v1", OPENAI + RESPONSES, OF_OPENAI),
    Client(
        "openai Node 6", node("use_openai.mjs", "openai"), "/v1", OPENAI + RESPONSES, OF_OPENAI
    ),
    Client(
        "openai Node",
        node("use_openai.mjs", "openai-newest"),
        "/v1",
        OPENAI + RESPONSES,
        OF_OPENAI,
    ),
    Client("anthropic Python", python("use_anthropic.py"), "", [*COMMON, "count"], OF_ANTHROPIC),
    Client("anthropic Node", node("use_anthropic.mjs"), "", [*COMMON, "count"], OF_ANTHROPIC),
    Client("ollama Python", python("use_ollama.py"), "/ollama", OPENAI, OF_OLLAMA),
    Client("ollama Node", node("use_ollama.mjs"), "/ollama", OPENAI, OF_OLLAMA),
    # It has no option for the length of an answer: before engines it only begins one.
    Client("ollama, the command", ollama_command, "/ollama", ["command", "models", "leave"], NONE),
    Client(
        "langchain-openai", python("use_langchain.py", "openai"), "/v1", LANGCHAIN, OF_OPENAI
    ),
    Client(
        "langchain-ollama", python("use_langchain.py", "ollama"), "/ollama", LANGCHAIN, OF_OLLAMA
    ),
    Client("Vercel AI SDK", node("use_ai.mjs"), "/v1", LANGCHAIN, OF_VERCEL),
    Client("llm", python("use_llm.py"), "/v1", [*COMMON, "command"], NONE),
]
