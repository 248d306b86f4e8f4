"""The SDKs, each in a process of its own which does many jobs at a time."""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable

import nodejs
from children import Child

HERE = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Sdk:
    """A library that reads answers. Those of OpenAI's dialect read whole answers too."""

    name: str
    dialect: str
    command: Callable[[], list[str]]

    @property
    def modes(self) -> list[str]:
        return ["stream", "whole"] if self.dialect == "openai" else ["stream"]


def python(name: str, program: str) -> Sdk:
    return Sdk(name, "openai", lambda: [program, str(HERE / "read_openai.py")])


def node(name: str, dialect: str, script: str, package: str) -> Sdk:
    def command() -> list[str]:
        # What it imports must lie beside it.
        nodejs.command(HERE / "jobs.mjs")
        return nodejs.command(HERE / script) + [package]

    return Sdk(name, dialect, command)


SDKS = [
    python("openai Python 1", str(pathlib.Path(os.environ["REAL_PARTS"], "openai1/bin/python"))),
    python("openai Python", sys.executable),
    node("openai Node 6", "openai", "read_openai.mjs", "openai"),
    node("openai Node", "openai", "read_openai.mjs", "openai-newest"),
    node("eventsource-parser", "native", "read_events.mjs", "eventsource-parser"),
    node("fetch-event-source", "native", "read_events.mjs", "@microsoft/fetch-event-source"),
]


class Reader(Child):
    """One SDK before one gateway. A job's result has text, finish reason, what the SDK raised, and
    how often it asked."""

    def __init__(self, sdk: Sdk, url: str, log: pathlib.Path):
        program, script, *more = sdk.command()
        base_url = f"{url}/v1" if sdk.dialect == "openai" else url
        super().__init__(sdk.name, [program, script, base_url, *more], log)
        self.sdk = sdk
