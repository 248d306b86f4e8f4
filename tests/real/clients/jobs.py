"""What the clients in Python have in common: a job a line on stdin, what came of it on stdout."""

import concurrent.futures
import json
import sys
import threading
from collections.abc import Callable

AT_ONCE = 32
# What a model may call; both take no more than this.
TOOLS = [
    {
        "name": "get_weather",
        "description": "The weather of a city",
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
    {
        "name": "get_time",
        "description": "The time",
        "schema": {"type": "object", "properties": {}},
    },
]


def functions() -> list[dict]:
    """The tools as OpenAI and Ollama want them."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool["name"],
                "description": tool["description"],
                "parameters": tool["schema"],
            },
        }
        for tool in TOOLS
    ]


class Seen:
    """What a client was given. `pieces` are the texts in the order in which they came."""

    def __init__(self, job: int):
        self.job = job
        self.pieces: list[str] = []
        self.finish: str | None = None
        self.usage: list[int] | None = None
        self.calls: list[dict] = []
        self.vectors: list[list[float]] = []
        self.id: str | None = None
        self.raised: str | None = None
        self.status: int | None = None
        self.message: str | None = None

    def piece(self, text: str | None) -> None:
        if text:
            self.pieces.append(text)

    def call(self, name: str, arguments: dict | str) -> None:
        arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
        self.calls.append({"name": name, "arguments": arguments})

    def counts(self, prompt: int | None, completion: int | None) -> None:
        if prompt is not None and completion is not None:
            self.usage = [prompt, completion]


def serve(version: str, operations: dict[str, Callable[[dict, Seen], None]]) -> None:
    """Does every job by the operation that it names; an operation raises as its library does."""
    print(json.dumps({"job": 0, "version": version}), flush=True)
    one_by_one = threading.Lock()

    def do(job: dict) -> None:
        seen = Seen(job["job"])
        try:
            operations[job["body"]["op"]](job["body"], seen)
        except Exception as error:
            seen.raised = type(error).__name__
            status = getattr(error, "status_code", None)
            # Ollama's client says -1 for an error within a stream.
            seen.status = None if status == -1 else status
            seen.message = str(error)
        with one_by_one:
            print(json.dumps(vars(seen)), flush=True)

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for line in sys.stdin:
            pool.submit(do, json.loads(line))
