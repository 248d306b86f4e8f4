"""A gateway at work, as the console's pictures show it: models on good and bad targets, keys, a crowd of
streams, and people who come and go."""

import contextlib
import http.client
import itertools
import json
import math
import threading
from collections.abc import Iterator

from console_page import crowd
from processes import Gateway, free_port
from scripted import END, Pause, Step, chunked, head, prompt_of, response
from wires import chunk, sse

OPS = "ops-0123456789-0123456789-0123456789-0123"
PEOPLE = ["alice", "search-team", "nightly@batch"]
FIRST, SECOND = "llama-3.3-70b", "qwen3-coder"
QUESTION = "What is a tide gate, and how would one be run?"
ANSWER = """A **tide gate** lets a river out and keeps the sea from coming in. It has two states, and what it
does depends on the water on both sides:

| Water | Gate | Flow |
|---|---|---|
| river above the sea | open | out |
| sea above the river | closed | none |

1. Read both levels, a few times a minute.
2. Open while the river stands higher by a margin, so that it does not flutter.
3. Close *before* the tide turns; the [Wadden Sea](https://en.wikipedia.org/wiki/Wadden_Sea) gives no warning.

```python
def should_open(river: float, sea: float, margin: float = 0.05) -> bool:
    return river > sea + margin
```
"""
# What a crowd asks for, what fails, and how long the answers of those are who come and go, by and by.
ENDLESS, BROKEN = "endless", "broken"
SHORTEST, LONGEST = 12, 60
# How much the charts show, in seconds: not the rush of a whole crowd that begins at once.
HISTORY = 120


def say(body: dict) -> list[Step]:
    """The upstream of all models: each piece takes its time."""
    prompt = prompt_of(body)
    if prompt == BROKEN:
        return [response(500, b'{"error":{"message":"out of memory"}}')]
    pieces, pause = (f"{number} " for number in range(1, 5000)), 0.15
    if prompt == QUESTION:
        pieces, pause = ANSWER.replace(" ", " \0").split("\0"), 0.01
    elif prompt.isdigit():
        pieces, pause = (f"{number} " for number in range(int(prompt))), 0.02
    steps: list[Step] = [head(200, "content-type: text/event-stream", "transfer-encoding: chunked")]
    for piece in pieces:
        steps += [Pause(pause), chunked(sse(chunk({"content": piece})))]
    return [*steps, chunked(sse(chunk({}, "stop"))), chunked(b"data: [DONE]\n\n") + END]


def config(port: int) -> str:
    """One model on three targets, of which one is down; one that is full; and the demo."""
    text = f"[console]\nhistory_seconds = {HISTORY}\n"
    text += f'[auth]\n[[auth.keys]]\nname = "ops"\nkey = "{OPS}"\nadmin = true\n'
    for name in PEOPLE:
        text += f'[[auth.keys]]\nname = "{name}"\nkey = "{key_of(name)}"\n'
    text += f'[[models]]\nname = "{FIRST}"\nprovider = "openai"\n'
    for name, at, slots in (("gpu-a", port, 24), ("gpu-b", port, 16), ("gpu-c", free_port(), 16)):
        text += f'[[models.targets]]\nname = "{name}"\nbase_url = "http://127.0.0.1:{at}/v1"\n'
        text += f"max_concurrency = {slots}\n"
    text += f'[[models]]\nname = "{SECOND}"\nprovider = "openai"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
    text += "max_concurrency = 8\nqueue_timeout_seconds = 900\n"
    return text + '[[models]]\nname = "demo"\nprovider = "builtin"\n'


def key_of(name: str) -> str:
    return f"{name}-0123456789-0123456789-0123456789"


@contextlib.contextmanager
def scene(gateway: Gateway) -> Iterator[None]:
    over = threading.Event()
    counter = itertools.count()
    people = [threading.Thread(target=come_and_go, args=(gateway, over, counter)) for _ in range(4)]
    with crowd(gateway, 42, ENDLESS, [key_of(name) for name in PEOPLE], [FIRST, FIRST, SECOND, FIRST]):
        for person in people:
            person.start()
        try:
            yield
        finally:
            over.set()
            for person in people:
                person.join()


def come_and_go(gateway: Gateway, over: threading.Event, counter: Iterator[int]) -> None:
    """Asks one thing after another; now and then it fails, or is left in mid-answer."""
    while not over.is_set():
        number = next(counter)
        swell = (1 + math.sin(number / 25)) / 2
        prompt = str(round(SHORTEST + swell * (LONGEST - SHORTEST)))
        body = {"model": FIRST, "messages": [{"role": "user", "content": prompt}]}
        if number % 17 == 0:
            body["messages"][0]["content"] = BROKEN
        headers = {"content-type": "application/json"}
        headers["authorization"] = f"Bearer {key_of(PEOPLE[number % len(PEOPLE)])}"
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.port)) as client:
            client.request("POST", "/api/chat", json.dumps(body), headers)
            answer = client.getresponse()
            if number % 9 == 0:
                answer.read1()
                answer.close()
            else:
                answer.read()
