"""Traces, metrics and access records arrive at a collector that somebody else wrote: of requests that waited,
that one target failed and another answered, and that were cancelled.
"""

import http.server
import pathlib
import re
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from processes import LLAMA_MODEL, Gateway, Llama, Process, free_port, wait_until
from prompts import LONG, LONG_TOKENS, native

TRACES = [f"{number:x}" * 32 for number in (1, 2, 3)]


class Collector(Process):
    """rotel, which prints what it is sent."""

    def __init__(self, folder: pathlib.Path):
        package = next(pathlib.Path(sys.prefix).glob("lib/python3*/site-packages/rotel"))
        self.endpoint = f"127.0.0.1:{free_port()}"
        grpc = f"127.0.0.1:{free_port()}"
        command = [str(package / "rotel-agent"), "start", "--otlp-http-endpoint", self.endpoint]
        command += ["--otlp-grpc-endpoint", grpc, "--exporter", "blackhole"]
        command += ["--debug-log", "traces", "--debug-log", "metrics", "--debug-log", "logs"]
        command += ["--debug-log-verbosity", "detailed"]
        super().__init__(command, int(self.endpoint.rpartition(":")[2]), "/", folder)

    def answers(self, path: str) -> bool:
        """Whether it listens: it has nothing to get."""
        try:
            return self.get(path).status > 0
        except OSError:
            return False

    def spans(self, trace: str) -> dict[str, dict[str, str]]:
        """Those of a trace by their names, with what is printed of each."""
        return {
            name: span
            for name, span in map(_read_span, re.split(r"\n\s*Span #\d+", self.log())[1:])
            if span.get("Trace ID") == trace
        }


def _read_span(text: str) -> tuple[str, dict[str, str]]:
    """Its events, and whatever is printed behind it, have names as well: the first of each is its own."""
    span: dict[str, str] = {}
    for name, value in re.findall(r"^\s*(?:->)?\s*([\w .]+?)\s*: (.*)$", text, re.MULTILINE):
        span.setdefault(name, value.strip())
    return span.get("Name", ""), span


@pytest.fixture
def collector(tmp_path: pathlib.Path) -> Iterator[Collector]:
    agent = Collector(tmp_path)
    yield agent
    agent.stop()


class Refusal(http.server.BaseHTTPRequestHandler):
    """Of a server that is there, and answers refusing."""

    def do_GET(self):
        self._answer(200)

    def do_POST(self):
        self._answer(503)

    def _answer(self, status: int):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object):
        """Nothing."""


@pytest.fixture
def refusing() -> Iterator[int]:
    """The port of a server that refuses every chat."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def gateway(
    llama: Llama, collector: Collector, refusing: int, start_gateway: Callable[..., Gateway]
) -> Gateway:
    upstream = f'provider = "openai"\nbase_url = "{llama.url}/v1"\nupstream_model = "{LLAMA_MODEL}"'
    refuses = f'provider = "openai"\nbase_url = "http://127.0.0.1:{refusing}/v1"'
    return start_gateway(f"""
[otlp]
endpoint = "http://{collector.endpoint}"
access_records = true
metrics_interval_seconds = 1

[[models]]
name = "one-at-a-time"
max_concurrency = 1
{upstream}

[[models]]
name = "fleet"
policy = "cheapest"

[[models.targets]]
name = "refusing"
{refuses}

[[models.targets]]
name = "llama"
input_price = 1
{upstream}
""")


def ask(gateway: Gateway, trace: str | None, model: str, prompt: str = "hi", tokens: int = 4):
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"} if trace else {}
    return gateway.post("/api/chat", native(prompt, tokens, model=model), **headers)


@pytest.mark.timeout(120)
def test_everything_arrives(gateway: Gateway, collector: Collector):
    waited, failed_over, cancelled = TRACES
    first = ask(gateway, None, "one-at-a-time", LONG, LONG_TOKENS)
    next(first.events())
    second = ask(gateway, waited, "one-at-a-time")
    events = second.events()
    assert next(events).name == "chat.queued"
    first.close()
    assert list(events)[-1].name == "chat.completion.done"

    assert list(ask(gateway, failed_over, "fleet").events())[-1].name == "chat.completion.done"

    third = ask(gateway, cancelled, "one-at-a-time", LONG, LONG_TOKENS)
    events = third.events()
    next(events)
    assert gateway.send("DELETE", f"/api/chat/{third.request_id}").status == 200
    assert list(events)[-1].name == "chat.cancelled"

    whole = {"POST /api/chat", "admission", "stream", f"chat {LLAMA_MODEL}", "first token"}
    for trace, expected in [
        (waited, whole | {"queue"}),
        (failed_over, whole | {"chat fleet"}),
        (cancelled, whole),
    ]:
        wait_until(f"the trace {trace[0]}", lambda: collector.spans(trace).keys() >= expected)
        assert collector.spans(trace).keys() == expected
    stream = collector.spans(cancelled)["stream"]
    assert "cancelled" in stream["tidegate.outcome"]
    for word in ("gen_ai.server.time_to_first_token", "gen_ai.client.token.usage", "tidegate.request"):
        wait_until(word, lambda: word in collector.log())
    assert "otlp" not in "".join(line for line in gateway.log().splitlines() if "WARN" in line)
