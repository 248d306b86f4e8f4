"""The console as its checks drive it: where things are on its pages, and a crowd that it shows."""

import contextlib
import http.client
import json
import socket
import uuid
from collections.abc import Iterator, Sequence

from browser import Browser
from processes import Gateway, wait_until

DEMO = '[[models]]\nname = "demo"\nprovider = "builtin"\nmax_concurrency = 1000\n'
# Where a page keeps its key.
KEPT_KEY = "tidegate.key"
ANSWER = "[...document.querySelectorAll('.answer')].at(-1)"
STATE = f"{ANSWER}?.querySelector('.state').textContent"
TEXT = f"({ANSWER}?.querySelector('.markdown')?.textContent ?? '')"
ROWS = "document.querySelectorAll('.grid .rows .row').length"
FAULT = "document.querySelector('.fault')?.textContent"


def go(browser: Browser, gateway: Gateway, page: str = "playground") -> None:
    # By a name that the page may have; what it may not is tried by the tests of the gateway itself.
    browser.open(f"http://localhost:{gateway.port}/#{page}")
    browser.wait_for("document.querySelector('main > section')")


def ask(browser: Browser, prompt: str) -> None:
    browser.wait_for("document.querySelector('#send:enabled')")
    browser.evaluate(
        f"document.getElementById('prompt').value = {json.dumps(prompt)};"
        "document.getElementById('prompt').form.requestSubmit()"
    )


def counted(numbers: int) -> str:
    return " ".join(map(str, range(1, numbers + 1)))


@contextlib.contextmanager
def under_way(gateway: Gateway, path: str, body: dict) -> Iterator[http.client.HTTPConnection]:
    """A client whose answer is kept. It has not read its response's head."""
    headers = {"content-type": "application/json", "x-resumable": "true", "idempotency-key": str(uuid.uuid4())}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.port)) as client:
        client.request("POST", path, json.dumps(body), headers)
        yield client


@contextlib.contextmanager
def crowd(
    gateway: Gateway,
    size: int,
    prompt: str,
    keys: Sequence[str] = (),
    models: Sequence[str] = (),
) -> Iterator[None]:
    """So many clients with an answer under way, which they leave in the end; keys and models in turns."""
    with contextlib.ExitStack() as stack:
        for number in range(size):
            client = socket.create_connection(("127.0.0.1", gateway.port))
            stack.enter_context(client)
            request = {"messages": [{"role": "user", "content": prompt}]}
            if models:
                request["model"] = models[number % len(models)]
            body = json.dumps(request).encode()
            lines = ["POST /api/chat HTTP/1.1", "host: localhost", "content-type: application/json"]
            if keys:
                lines.append(f"authorization: Bearer {keys[number % len(keys)]}")
            lines += [f"content-length: {len(body)}", "", ""]
            client.sendall("\r\n".join(lines).encode() + body)
        series = "ai_gateway_active_streams"
        wait_until("the crowd to stream", lambda: gateway.metrics()[series] >= size)
        yield
    gateway.wait_until_idle()
