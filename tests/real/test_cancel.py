"""A client that does not want the answer any more: the model stops working, and it counts once.

llama.cpp looks whether it is still listened to when it has a token to send: neither while it reads
a prompt nor, reliably, while it writes an answer in one piece. There the checks look at the
connection: the gateway has closed it.
"""

from collections.abc import Callable, Iterator

import pytest

from answers import numbered
from processes import Gateway, Llama, wait_until
from prompts import LONG, LONG_TOKENS, native, openai
from wire import Event, Reply

# How soon the upstream must see the close, and the model stop. The machine may be busy.
AT_ONCE = 0.5
SOON = 2.0
# Takes the model some seconds to read.
SLOW_TO_READ = "river bank " * 200


@pytest.fixture(autouse=True)
def idle_before_and_after(llama: Llama) -> Iterator[None]:
    wait_until("an idle llama.cpp", llama.is_idle)
    yield
    wait_until("an idle llama.cpp", llama.is_idle)


def begun(gateway: Gateway, llama: Llama) -> tuple[Reply, Iterator[Event]]:
    """A native stream that has given some tokens of many."""
    reply = gateway.post("/api/chat", native(LONG, LONG_TOKENS))
    events = reply.events()
    for _ in range(5):
        assert next(events).name == "chat.completion.chunk"
    assert not llama.is_idle()
    return reply, events


def streams(gateway: Gateway) -> list[dict]:
    return gateway.get("/api/chat/streams").json()["streams"]


def cancelled_once(gateway: Gateway, llama: Llama) -> None:
    wait_until("llama.cpp to stop", llama.is_idle, SOON)
    gateway.wait_until_idle()
    assert gateway.outcomes() == {"cancelled": 1}
    assert gateway.get("/api/chat/streams").json()["activeCount"] == 0


def test_by_request(gateway: Gateway, llama: Llama):
    reply, events = begun(gateway, llama)
    path = f"/api/chat/{reply.request_id}"
    cancelled = gateway.send("DELETE", path)
    assert cancelled.json() == {"success": True, "requestId": reply.request_id}
    cancelled_once(gateway, llama)
    *rest, last = events
    assert last.name == "chat.cancelled"
    assert {event.name for event in rest} <= {"chat.completion.chunk"}
    assert last.id == numbered(reply.request_id, 5 + len(rest) + 1)[-1]
    again = gateway.send("DELETE", path)
    assert again.status == 404 and again.json()["error"] == "NOT_FOUND"


def test_by_closing_the_socket(gateway: Gateway, llama: Llama):
    reply, _ = begun(gateway, llama)
    reply.close()
    cancelled_once(gateway, llama)


def test_by_closing_the_socket_of_a_relayed_stream(gateway: Gateway, llama: Llama):
    reply = gateway.post("/v1/chat/completions", openai(LONG, LONG_TOKENS, stream=True))
    events = reply.events()
    next(events), next(events)
    reply.close()
    cancelled_once(gateway, llama)


def test_by_closing_the_socket_of_an_answer_in_one_piece(gateway: Gateway, llama: Llama):
    """The upstream streams all the same, so that it sees the close."""
    connection = gateway.call("POST", "/api/chat", native(LONG, LONG_TOKENS, stream=False))
    wait_until("tokens", lambda: any(stream["tokens"] for stream in streams(gateway)))
    connection.close()
    cancelled_once(gateway, llama)


@pytest.mark.parametrize("by", ["request", "socket"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", native(SLOW_TO_READ)),
        ("/v1/chat/completions", openai(SLOW_TO_READ, stream=True)),
        ("/v1/chat/completions", openai(LONG, 200)),
    ],
    ids=["native", "relayed", "relayed in one piece"],
)
def test_before_the_first_token(gateway: Gateway, llama: Llama, path: str, body: dict, by: str):
    # Those of the health probes.
    others = gateway.connections_to(llama)
    client = gateway.call("POST", path, body)
    wait_until("llama.cpp to work", lambda: not llama.is_idle())
    (stream,) = streams(gateway)
    assert stream["state"] in ("connecting", "waiting") and stream["tokens"] == 0
    (connection,) = gateway.connections_to(llama) - others
    if by == "request":
        assert gateway.send("DELETE", f"/api/chat/{stream['requestId']}").status == 200
    else:
        client.close()
    gone = lambda: connection not in gateway.connections_to(llama)
    wait_until("the connection to be closed", gone, AT_ONCE)
    gateway.wait_until_idle()
    assert gateway.outcomes() == {"cancelled": 1}
    if by == "request":
        reply = client.getresponse()
        assert reply.status == 499 and b"CANCELLED" in reply.read()


@pytest.mark.parametrize("by", ["request", "socket"])
def test_in_the_queue(llama: Llama, start_gateway: Callable[..., Gateway], by: str):
    gateway = start_gateway(
        f'[[models]]\nname = "one"\nprovider = "openai"\nbase_url = "{llama.url}/v1"\n'
        "max_concurrency = 1\n"
    )
    running, events = begun(gateway, llama)
    queued = gateway.call("POST", "/api/chat", native())
    wait_until("a second stream", lambda: len(streams(gateway)) == 2)
    (waiting,) = [stream for stream in streams(gateway) if stream["state"] == "queued"]
    if by == "request":
        assert gateway.send("DELETE", f"/api/chat/{waiting['requestId']}").status == 200
    else:
        queued.close()
    wait_until("the queue to be empty", lambda: len(streams(gateway)) == 1, SOON)
    assert gateway.outcomes() == {"cancelled": 1}
    assert next(events).name == "chat.completion.chunk", "the running one does not notice"
    running.close()
    wait_until("llama.cpp to stop", llama.is_idle, SOON)
    gateway.wait_until_idle()
    assert gateway.outcomes() == {"cancelled": 2}
