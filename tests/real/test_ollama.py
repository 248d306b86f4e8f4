"""A real Ollama behind the gateway."""

import pathlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import openai as sdk
import pytest

import answers
from processes import OLLAMA_MODEL, Gateway, Ollama, wait_until
from prompts import LONG, SHORT, TOKENS, native, openai, user

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def gateway(ollama: Ollama, start_gateway: Callable[..., Gateway]) -> Gateway:
    probes = "[health]\ninterval_seconds = 1\n"
    return start_gateway(probes, OLLAMA_BASE_URL=ollama.url, OLLAMA_MODEL=OLLAMA_MODEL)


def openai_client(gateway: Gateway) -> sdk.OpenAI:
    return sdk.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def expected(ollama: Ollama) -> dict:
    """What Ollama answers when it is asked without a gateway."""
    options = {"temperature": 0, "num_predict": TOKENS}
    body = {"model": OLLAMA_MODEL, "messages": user(SHORT), "options": options, "stream": False}
    return ollama.send("POST", "/api/chat", body, seconds=120).json()


def test_stream_and_whole(gateway: Gateway, expected: dict):
    for reply in (
        answers.of_native_reply(gateway.post("/api/chat", native()), OLLAMA_MODEL),
        answers.of_native_whole(gateway.post("/api/chat", native(stream=False)), OLLAMA_MODEL),
    ):
        assert reply.text == expected["message"]["content"]
        assert reply.prompt_tokens == expected["prompt_eval_count"]
        assert reply.completion_tokens == expected["eval_count"]
    assert gateway.outcomes() == {"completed": 2}


def test_openai_python(gateway: Gateway, expected: dict):
    """OpenAI's wire, translated from and to Ollama's."""
    body = openai() | {"model": OLLAMA_MODEL}
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    with openai_client(gateway) as client:
        create = client.chat.completions.create
        chunks = answers.of_openai_chunks(
            chunk.model_dump() for chunk in create(**body, **streamed)
        )
        whole = answers.of_openai_whole(create(**body).model_dump())
    assert len(chunks.pieces) > 10
    assert chunks.as_one() == whole
    assert whole.text == expected["message"]["content"]
    assert whole.prompt_tokens == expected["prompt_eval_count"]
    assert whole.completion_tokens == expected["eval_count"]


def test_cancel(gateway: Gateway):
    reply = gateway.post("/api/chat", native(LONG, 1500))
    next(reply.events())
    assert gateway.send("DELETE", f"/api/chat/{reply.request_id}").status == 200
    gateway.wait_until_idle()
    assert gateway.outcomes() == {"cancelled": 1}


def test_a_model_that_ollama_does_not_have(
    ollama: Ollama, start_gateway: Callable[..., Gateway]
):
    gateway = start_gateway(OLLAMA_BASE_URL=ollama.url, OLLAMA_MODEL="no-such-model")
    reply = gateway.post("/api/chat", native())
    assert reply.status == 502
    told = reply.json()
    assert told["error"] == "UPSTREAM_NOT_FOUND"
    assert "no-such-model" in told["message"]
    with openai_client(gateway) as client, pytest.raises(sdk.APIStatusError) as caught:
        client.chat.completions.create(**openai() | {"model": "no-such-model"})
    assert caught.value.status_code == 502 and caught.value.code == "UPSTREAM_NOT_FOUND"
    assert gateway.outcomes() == {"upstream_error": 2}


def test_runner_killed_in_mid_stream(ollama: Ollama, gateway: Gateway):
    """The server says so itself, within an answer that it has begun with 200."""
    events = gateway.post("/api/chat", native(LONG, 1500)).events()
    assert next(events).name == "chat.completion.chunk"
    ollama.kill_runner()
    *rest, last = events
    assert {event.name for event in rest} <= {"chat.completion.chunk"}
    assert last.name == "error" and last.data["code"] == "UPSTREAM_ERROR"
    assert "unexpected EOF" in last.data["message"], "Ollama's own words"

    with openai_client(gateway) as client:
        body = openai(LONG, 1500, stream=True) | {"model": OLLAMA_MODEL}
        chunks = client.chat.completions.create(**body)
        next(chunks)
        ollama.kill_runner()
        with pytest.raises(sdk.APIError) as caught:
            for _ in chunks:
                pass
    assert caught.value.code == "UPSTREAM_ERROR"

    whole = gateway.call("POST", "/api/chat", native(LONG, 1500, stream=False))
    streams = lambda: gateway.get("/api/chat/streams").json()["streams"]
    wait_until("tokens", lambda: any(stream["tokens"] for stream in streams()))
    ollama.kill_runner()
    assert whole.getresponse().status == 502

    gateway.wait_until_idle()
    assert gateway.outcomes() == {"upstream_error": 3}
    reply = gateway.post("/api/chat", native(tokens=2))
    assert answers.of_native_reply(reply, OLLAMA_MODEL).completion_tokens == 2


@pytest.fixture
def busy_ollama(ollama_command: str, tmp_path: pathlib.Path) -> Iterator[Ollama]:
    """Refuses all but two while it loads its model."""
    limits = {"OLLAMA_NUM_PARALLEL": "1", "OLLAMA_MAX_QUEUE": "1"}
    server = Ollama(ollama_command, tmp_path, **limits)
    yield server
    server.stop()


def test_busy(busy_ollama: Ollama, start_gateway: Callable[..., Gateway]):
    gateway = start_gateway(OLLAMA_BASE_URL=busy_ollama.url, OLLAMA_MODEL=OLLAMA_MODEL)
    bodies = [
        ("/api/chat", native(tokens=2)),
        ("/v1/chat/completions", openai(tokens=2, stream=True) | {"model": OLLAMA_MODEL}),
    ] * 5
    with ThreadPoolExecutor(len(bodies)) as clients:
        calls = [clients.submit(gateway.post, *body) for body in bodies]
        replies = [(path, call.result()) for (path, _), call in zip(bodies, calls)]
    refused = {"/api/chat": 0, "/v1/chat/completions": 0}
    for path, reply in replies:
        if reply.status == 200:
            *_, last = reply.events()
            assert last.name == "chat.completion.done" or last.data == "[DONE]"
            continue
        refused[path] += 1
        assert reply.status == 503 and reply.headers["x-should-retry"] == "false"
        error = reply.json()["error"]
        assert (error if path == "/api/chat" else error["code"]) == "UPSTREAM_OVERLOADED"
    assert all(refused.values()), refused
    gateway.wait_until_idle()
    overloaded = sum(refused.values())
    completed = len(bodies) - overloaded
    assert gateway.outcomes() == {"completed": completed, "upstream_error": overloaded}
    reply = gateway.post("/api/chat", native(tokens=2))
    assert answers.of_native_reply(reply, OLLAMA_MODEL).completion_tokens == 2


def test_discovery(ollama: Ollama, start_gateway: Callable[..., Gateway]):
    """Without any model configured, Ollama's serves: one that chats, none that embeds."""
    gateway = start_gateway(OLLAMA_BASE_URL=ollama.url)
    gateway.wait_until_ready()
    (model,) = gateway.get("/api/models").json()["models"]
    assert (model["name"], model["provider"]) == (OLLAMA_MODEL, "ollama")
    assert model["status"] == "reachable"
    reply = gateway.post("/api/chat", native(tokens=4))
    assert answers.of_native_reply(reply, OLLAMA_MODEL).completion_tokens == 4


def test_dies_in_mid_stream(ollama: Ollama, gateway: Gateway):
    """Keep this last: Ollama is gone after it."""
    events = gateway.post("/api/chat", native(LONG, 1500)).events()
    next(events)
    ollama.stop()
    *_, last = events
    assert last.name == "error" and last.data["message"]
    gateway.wait_until_idle()
    wait_until("readiness to go", lambda: gateway.get("/ready").status == 503)
