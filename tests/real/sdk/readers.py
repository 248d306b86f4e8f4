"""The SDKs, each in a process of its own which does many jobs at a time."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Callable

import nodejs
from processes import PATIENCE, clean_environment, wait_until

HERE = pathlib.Path(__file__).parent
# An SDK that asks again pauses for some seconds in between.
LONGEST = 60.0


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


class Reader:
    """One SDK before one gateway."""

    def __init__(self, sdk: Sdk, url: str, log: pathlib.Path):
        program, script, *more = sdk.command()
        base_url = f"{url}/v1" if sdk.dialect == "openai" else url
        self.sdk = sdk
        self._seen: dict[int, dict] = {}
        self._jobs = 0
        self._log = log
        with log.open("wb") as errors:
            self._child = subprocess.Popen(
                [program, script, base_url, *more],
                env=clean_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        # Whatever it still does is of no interest.
        self._child.kill()
        self._child.wait(PATIENCE)
        self._child.stdin.close()
        self._listener.join()
        self._child.stdout.close()

    def _listen(self) -> None:
        for line in self._child.stdout:
            seen = json.loads(line)
            self._seen[seen["job"]] = seen

    @property
    def version(self) -> str:
        """The library's own; told first of all, as job 0."""
        return self.result(0)["version"]

    def ask(self, body: dict) -> int:
        """Begins a job; gives its number."""
        self._jobs += 1
        self._child.stdin.write(json.dumps({"job": self._jobs, "body": body}) + "\n")
        self._child.stdin.flush()
        return self._jobs

    def result(self, job: int) -> dict:
        """What the SDK made of a job: text, finish reason, what it raised, how often it asked."""

        def there() -> bool:
            assert self._child.poll() is None, f"{self.sdk.name} ended:\n{self._log.read_text()}"
            return job in self._seen

        wait_until(f"{self.sdk.name} to be done", there, LONGEST)
        return self._seen[job]
