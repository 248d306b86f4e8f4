"""The upstream as it really is: it closes idle connections, refuses, is slow, is killed."""

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator

import openai as sdk
import pytest

import answers
import wire
from processes import LLAMA_MODEL, Gateway, Llama, wait_until
from prompts import LONG, LONG_TOKENS, SHORT, STREAMED, native, openai

# llama.cpp closes a connection that has been idle for five seconds.
LONGER_THAN_KEPT_ALIVE = 6.0
# More than the context of a slot.
TOO_MUCH = "a b c d e " * 900
# Takes the model some seconds to read.
SLOW_TO_READ = SHORT + " The river is long and wide and slow." * 50
QUICK_PROBES = "[health]\ninterval_seconds = 1\n"


@pytest.fixture
def client(gateway: Gateway):
    with sdk.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def serves(gateway: Gateway) -> None:
    """Both dialects get a whole answer."""
    reply = gateway.post("/api/chat", native("Hi.", tokens=2))
    assert answers.of_native_reply(reply, LLAMA_MODEL).completion_tokens == 2
    reply = gateway.post("/v1/chat/completions", openai("Hi.", tokens=2, **STREAMED))
    assert answers.of_openai_reply(reply).completion_tokens == 2


@contextlib.contextmanager
def started_again(killed: Llama, folder: pathlib.Path) -> Iterator[Llama]:
    """The same server, in a process of its own, on the same port."""
    server = Llama(folder, killed.port)
    yield server
    server.stop()


def test_models(client: sdk.OpenAI, gateway: Gateway):
    gateway.wait_until_ready()
    assert [model.id for model in client.models.list()] == [LLAMA_MODEL]
    (model,) = gateway.get("/api/models").json()["models"]
    assert (model["name"], model["provider"], model["active"]) == (LLAMA_MODEL, "openai", True)
    assert model["status"] == "reachable"
    ready = gateway.get("/ready")
    assert ready.status == 200 and ready.json()["ready"] is True


def test_unknown_model(client: sdk.OpenAI, gateway: Gateway):
    for streamed in (False, True):
        with pytest.raises(sdk.NotFoundError) as caught:
            client.chat.completions.create(**openai(stream=streamed) | {"model": "nobody"})
        assert LLAMA_MODEL in str(caught.value), "the models there are"
    reply = gateway.post("/api/chat", native(model="nobody"))
    assert reply.status == 404
    error = reply.json()
    assert error["error"] == "MODEL_NOT_FOUND" and LLAMA_MODEL in str(error)
    assert gateway.outcomes() == {}


def test_context_overflow(client: sdk.OpenAI, gateway: Gateway):
    for streamed in (False, True):
        with pytest.raises(sdk.BadRequestError) as caught:
            client.chat.completions.create(**openai(TOO_MUCH, stream=streamed))
        assert "context" in str(caught.value), "the upstream's own reason"
        reply = gateway.post("/api/chat", native(TOO_MUCH, stream=streamed))
        assert reply.status == 400
        error = reply.json()
        assert error["error"] == "UPSTREAM_REJECTED" and "context" in error["message"]
    assert gateway.outcomes() == {"rejected": 4}
    gateway.wait_until_idle()
    serves(gateway)
    assert gateway.outcomes() == {"rejected": 4, "completed": 2}


def test_stale_connection(llama: Llama, before: Callable[..., Gateway]):
    """A pooled connection that the upstream has closed meanwhile costs nobody an answer."""
    gateway = before(llama, WORKERS="1")
    for idle in (0, LONGER_THAN_KEPT_ALIVE):
        enough = time.monotonic() + idle
        wait_until("idle time", lambda: time.monotonic() > enough)
        for path, body in [("/api/chat", native), ("/v1/chat/completions", openai)]:
            reply = gateway.post(path, body(tokens=4, stream=False))
            assert reply.status == 200 and reply.json()
    assert gateway.outcomes() == {"completed": 4}


def test_many_requests_on_one_connection(llama: Llama, before: Callable[..., Gateway]):
    """llama.cpp closes a connection after its hundredth request. Refusals are the quickest."""
    gateway = before(llama, WORKERS="1")
    for _ in range(120):
        refused = gateway.post("/api/chat", native(TOO_MUCH))
        assert refused.status == 400, refused.read()
    reply = gateway.post("/api/chat", native("Hi.", tokens=1))
    assert answers.of_native_reply(reply, LLAMA_MODEL).completion_tokens == 1
    assert gateway.outcomes() == {"completed": 1, "rejected": 120}


def test_started_again_between_requests(
    mortal_llama: Llama, before: Callable[..., Gateway], tmp_path: pathlib.Path
):
    """The connections that were kept are of no use any more, and cost nobody an answer."""
    gateway = before(mortal_llama, WORKERS="1")
    serves(gateway)
    mortal_llama.kill()
    with started_again(mortal_llama, tmp_path):
        serves(gateway)
    assert gateway.outcomes() == {"completed": 4}


def test_comments_during_a_long_prompt(llama: Llama, before: Callable[..., Gateway]):
    """Those of llama.cpp are not passed on, and the gateway has its own: no reader minds."""
    direct = llama.post("/v1/chat/completions", openai(SLOW_TO_READ, 4, stream=True))
    assert direct.piece().startswith(b":"), "a comment comes first of all"
    direct.close()
    wait_until("an idle llama.cpp", llama.is_idle)

    gateway = before(llama, "[server]\nheartbeat_seconds = 0.2\n")
    reply = gateway.post("/api/chat", native(SLOW_TO_READ, 4))
    body = reply.read()
    comments = [line for line in body.split(b"\n") if line.startswith(b":")]
    assert len(comments) > 2 and set(comments) == {b": k"}
    assert b": k\n\n" not in body, "to some readers a blank line ends an event"
    events = list(filter(None, map(wire.parse_event, body.split(b"\n\n"))))
    answer = answers.of_native_events(events, reply.request_id, LLAMA_MODEL)
    assert answer.completion_tokens == 4
    with sdk.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        chunks = client.chat.completions.create(**openai(SLOW_TO_READ, 4, **STREAMED))
        assert answers.of_openai_chunks(chunk.model_dump() for chunk in chunks) == answer
    assert gateway.outcomes() == {"completed": 2}


def test_killed_in_mid_stream(
    mortal_llama: Llama, before: Callable[..., Gateway], tmp_path: pathlib.Path
):
    gateway = before(mortal_llama, QUICK_PROBES)
    native_reply = gateway.post("/api/chat", native(LONG, LONG_TOKENS))
    native_events = native_reply.events()
    assert next(native_events).name == "chat.completion.chunk"
    with sdk.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        body = openai(LONG, LONG_TOKENS, **STREAMED)
        chunks = client.chat.completions.create(**body)
        next(chunks)

        mortal_llama.kill()

        *rest, last = native_events
        assert last.name == "error", "an end that is told"
        assert last.data["code"] in ("TRUNCATED", "UPSTREAM_ERROR") and last.data["message"]
        assert {event.name for event in rest} <= {"chat.completion.chunk"}
        with pytest.raises(sdk.APIError):
            for _ in chunks:
                pass
    gateway.wait_until_idle()
    outcomes = gateway.outcomes()
    assert set(outcomes) <= {"truncated", "upstream_error"} and sum(outcomes.values()) == 2

    wait_until("readiness to go", lambda: gateway.get("/ready").status == 503)
    assert gateway.get("/health").status == 200
    (model,) = gateway.get("/api/models").json()["models"]
    assert model["status"] == "unreachable" and model["reason"]
    refused = gateway.post("/api/chat", native())
    assert refused.status == 502 and refused.json()["error"] == "UPSTREAM_UNREACHABLE"
    with started_again(mortal_llama, tmp_path):
        gateway.wait_until_ready()
        serves(gateway)
    assert gateway.outcomes()["completed"] == 2


def test_killed_before_an_answer_in_one_piece(mortal_llama: Llama, before: Callable[..., Gateway]):
    gateway = before(mortal_llama)
    calls = [
        gateway.call("POST", "/api/chat", native(LONG, LONG_TOKENS, stream=False)),
        gateway.call("POST", "/v1/chat/completions", openai(LONG, LONG_TOKENS)),
    ]
    working = "llamacpp:requests_processing"
    wait_until("both to run", lambda: mortal_llama.metrics()[working] == 2)
    mortal_llama.kill()
    for call in calls:
        assert call.getresponse().status == 502
    gateway.wait_until_idle()
    assert sum(gateway.outcomes().values()) == 2


def test_not_there_at_the_start(
    mortal_llama: Llama, before: Callable[..., Gateway], start_gateway: Callable[..., Gateway]
):
    mortal_llama.kill()
    gateway = before(mortal_llama)
    assert gateway.get("/ready").status == 503
    wait_until("a word in the log", lambda: "NOT reachable" in gateway.log())
    reply = gateway.post("/api/chat", native())
    assert reply.status == 502 and reply.json()["error"] == "UPSTREAM_UNREACHABLE"
