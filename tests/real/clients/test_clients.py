"""Every client at home: each does all it can at every kind of upstream, through its own dialect.

A scripted upstream's answer is known; an engine's is what it says when it is asked directly.
"""

import contextlib
import os
from collections.abc import Iterator

import pytest

import cases
import matrix
import wanted
from cases import Fault
from clients import CLIENTS, Client
from expected import check
from matrix import SCRIPTED, Case
from processes import Llama, wait_until
from prompts import LONG
from stage import Stage

pytestmark = pytest.mark.timeout(300)

CLIENT = {client.name: client for client in CLIENTS}
AT_ROOT = [client for client in CLIENTS if client.path == "/ollama"]


def named(case: tuple[str, ...]) -> str:
    return " - ".join(case)


@pytest.fixture(scope="module")
def stage(
    llama: Llama, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    ollama = request.getfixturevalue("ollama") if os.environ.get("OLLAMA_CMD") else None
    with contextlib.ExitStack() as stack:
        yield Stage(stack, tmp_path_factory.mktemp("clients"), llama, ollama)


@pytest.mark.parametrize("case", cases.answers(), ids=named)
def test_answers(case: Case, stage: Stage):
    """Nothing is missing and nothing is added."""
    name, upstream, operation = case
    with matrix.trying(*case):
        stage.require(upstream, operation)
        seen = stage.do(stage.child(CLIENT[name]), operation, model_for(upstream, operation))
        check(CLIENT[name], upstream, operation, seen, stage)


def model_for(upstream: str, operation: str) -> str:
    if operation == "embed":
        return f"vectors.{upstream}"
    return f"{'say' if upstream in SCRIPTED else 'real'}.{upstream}"


@pytest.mark.parametrize(
    ("case", "fault"),
    [pytest.param(case, fault, id=named((*case, fault.name))) for case, fault in cases.failures()],
)
def test_failures(case: Case, fault: Fault, stage: Stage):
    """They are raised by the client, with words that tell why; no part passes for the whole."""
    name, upstream, operation = case
    with matrix.trying(name, upstream, fault.name):
        stage.require(upstream, operation)
        child = stage.child(CLIENT[name])
        seen = stage.do(child, operation, fault.model.format(upstream), fault.prompt)
        assert seen["raised"], str(seen)
        assert any(words in seen["message"] for words in fault.words), str(seen)
        assert seen["status"] in statuses(CLIENT[name], operation, fault), str(seen)
        text, whole = "".join(seen["pieces"]), stage.answers[upstream].text
        assert whole.startswith(text) and text != whole, str(seen)
        # One may have come before the fault, with nothing missing.
        assert all(call in wanted.CALLS for call in seen["calls"]), str(seen)


def statuses(client: Client, operation: str, fault: Fault) -> list[int | None]:
    """Once a stream has begun its status is spent, which is what Anthropic's SDK for Python tells
    then; commands tell none."""
    if operation == "command":
        return [None]
    # It asks for a stream in any case.
    streamed = "stream" in operation or client.name == "langchain-ollama"
    begins = fault.name in ("cut", "fail") and streamed
    return [fault.status, None, 200] if begins else [fault.status]


@pytest.mark.parametrize("case", cases.leaving(), ids=named)
def test_leaving(case: Case, stage: Stage, llama: Llama):
    """The answer ends with its client's interest, as far as the upstream; the client lives on."""
    name, upstream, operation = case
    with matrix.trying(*case):
        stage.require(upstream, operation)
        gateway = stage.gateway
        before = gateway.outcomes().get("cancelled", 0)
        deed = "endless" if upstream in SCRIPTED else "real"
        child = stage.child(CLIENT[name])
        seen = stage.do(child, operation, f"{deed}.{upstream}", LONG, tokens=1500)
        assert seen["pieces"], str(seen)
        if operation == "cancel response":
            assert (seen["finish"], seen["raised"]) == ("cancelled", "APIError"), str(seen)
        else:
            assert seen["raised"] is None, str(seen)
        gateway.wait_until_idle()
        assert gateway.get("/api/chat/streams").json()["streams"] == []
        assert gateway.outcomes()["cancelled"] == before + 1
        # Ollama does not tell what it works on.
        if upstream == "llama.cpp":
            wait_until("the engine to be idle", llama.is_idle)
        elif upstream in SCRIPTED:
            wait_until("the connection to go", lambda: stage.endless[upstream].open == 0)


@pytest.mark.parametrize(
    ("client", "operation"),
    [
        pytest.param(client, operation, id=f"{client.name}-{operation}")
        for client in AT_ROOT
        for operation in ["chat", "stream", "command", "embed", "models"]
        if operation in client.operations
    ],
)
def test_at_the_root_of_a_listener(client: Client, operation: str, stage: Stage):
    """Where Ollama's clients look by themselves there is no prefix."""
    for upstream in SCRIPTED:
        seen = stage.do(stage.child(client, True), operation, model_for(upstream, operation))
        check(client, upstream, operation, seen, stage)


def test_the_matrix_is_as_documented():
    """Keep this last."""
    failures = [(name, upstream, fault.name) for (name, upstream, _), fault in cases.failures()]
    fault = matrix.disagreement([*cases.answers(), *cases.leaving(), *failures])
    assert fault is None, fault
