"""SIGTERM to the real program: streams finish or are told, and it ends in time with code 0."""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import answers
from processes import LLAMA_MODEL, Gateway, Llama, wait_until
from prompts import LONG, LONG_TOKENS, native, openai

GRACE = 2
SHORT_GRACE = f"[server]\ndrain_grace_seconds = {GRACE}\n"
# Beyond the grace.
SLACK = 2


def test_streams_finish_within_the_grace(gateway: Gateway):
    reply = gateway.post("/api/chat", native(tokens=150))
    events = reply.events()
    first = next(events)
    gateway.signal(signal.SIGTERM)
    wait_until("readiness to go", lambda: gateway.get("/ready").status == 503)
    refused = gateway.post("/api/chat", native())
    assert refused.status == 503 and refused.json()["error"] == "DRAINING"
    answer = answers.of_native_events([first, *events], reply.request_id, LLAMA_MODEL)
    assert answer.completion_tokens == 150
    assert gateway.wait(5) == 0


def test_streams_are_told_after_the_grace(llama: Llama, before: Callable[..., Gateway]):
    gateway = before(llama, SHORT_GRACE)
    native_events = gateway.post("/api/chat", native(LONG, LONG_TOKENS)).events()
    openai_events = gateway.post(
        "/v1/chat/completions", openai(LONG, LONG_TOKENS, stream=True)
    ).events()
    next(native_events), next(openai_events)
    begun = time.monotonic()
    gateway.signal(signal.SIGTERM)
    *_, last = native_events
    assert last.name == "error" and last.data["code"] == "DRAINED"
    *_, last = openai_events
    assert last.data["error"]["code"] == "DRAINED"
    assert gateway.wait(GRACE + SLACK) == 0
    assert GRACE <= time.monotonic() - begun < GRACE + SLACK
    wait_until("llama.cpp to stop", llama.is_idle, 3)


def test_a_hundred_streams_are_told(start_gateway: Callable[..., Gateway]):
    """A few run, most wait in the queue of the built-in model."""
    model = '[[models]]\nname = "small"\nprovider = "builtin"\nmax_concurrency = 50\n'
    gateway = start_gateway(SHORT_GRACE + model, LOG_LEVEL="warn")
    with ThreadPoolExecutor(100) as readers:
        body = native("count to 2000 /slow", 2000)
        last = [
            readers.submit(lambda: list(gateway.post("/api/chat", body).events())[-1])
            for _ in range(100)
        ]
        wait_until(
            "all streams", lambda: gateway.metrics()["ai_gateway_active_streams"] == 100
        )
        begun = time.monotonic()
        gateway.signal(signal.SIGTERM)
        assert {(end.result().name, end.result().data["code"]) for end in last} == {
            ("error", "DRAINED")
        }
    assert gateway.wait(GRACE + SLACK) == 0
    assert time.monotonic() - begun < GRACE + SLACK


def test_an_idle_gateway_ends_at_once(start_gateway: Callable[..., Gateway]):
    for number in (signal.SIGTERM, signal.SIGINT):
        gateway = start_gateway()
        gateway.signal(number)
        assert gateway.wait(SLACK) == 0
