"""Every client at home: each does all it can at every kind of upstream, through its own dialect.

What real engines say is not known before; what is asserted of them is form and counts.
"""

import contextlib
import pathlib
from collections.abc import Callable, Iterator

import pytest

import matrix
import setting
import wanted
from children import Child
from clients import CLIENTS, RESPONSES, Client
from processes import LLAMA_MODEL, OLLAMA_MODEL, Gateway, Llama, Ollama
from wires import PIECES, PROMPT_TOKENS, TEXT

pytestmark = pytest.mark.timeout(300)

SCRIPTED = ["openai", "vllm", "ollama"]
COUNTS = [PROMPT_TOKENS, len(PIECES)]
INPUT = ["one", "two"]
EMBEDDING = {"type": '"embedding"'}
OLLAMA_EMBEDDER = "all-minilm:l6-v2"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Before scripted upstreams, a model for each deed of each kind."""
    with contextlib.ExitStack() as stack:
        models = []
        for kind in SCRIPTED:
            wire = "ollama" if kind == "ollama" else "openai"
            url = f"http://127.0.0.1:{stack.enter_context(wanted.upstream(wire)).port}"
            for deed in wanted.DEEDS:
                more = EMBEDDING if deed == "vectors" else {}
                named = {"upstream_model": f'"{deed}.{kind}"'}
                models.append(setting.model(f"{deed}.{kind}", kind, url, named | more))
        gateway = setting.start(tmp_path_factory.mktemp("clients"), 60.0, models)
        stack.callback(gateway.stop)
        yield gateway


@pytest.fixture(scope="module")
def real_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Gateway]]:
    """Before one real engine."""
    started = []

    def start(provider: str, url: str, **models: dict) -> Gateway:
        sections = [
            setting.model(name, provider, url, {"upstream_model": f'"{upstream}"'} | more)
            for name, (upstream, more) in models.items()
        ]
        started.append(setting.start(tmp_path_factory.mktemp("real"), 60.0, sections))
        return started[-1]

    yield start
    for gateway in started:
        gateway.stop()


@contextlib.contextmanager
def running(client: Client, gateway: Gateway, folder: pathlib.Path) -> Iterator[Child]:
    program, script, *more = client.command()
    with Child(client.name, [program, script, gateway.url, *more], folder / "client.log") as child:
        matrix.version(client.name, child.version)
        yield child


def job(operation: str, model: str, tokens: int = 100) -> dict:
    return {"op": operation, "model": model, "prompt": "Say it.", "tokens": tokens, "input": INPUT}


def finish_of(client: Client, operation: str) -> str | None:
    if operation in RESPONSES:
        return "completed"
    if "tools" in operation:
        return client.called
    return "stop" if operation.startswith("complete") else client.said


def check_good(client: Client, operation: str, seen: dict) -> None:
    """Of a healthy answer nothing is missing and nothing is added."""
    if operation == "keep":
        assert (seen["raised"], seen["status"]) == ("NotFoundError", 404), "it was deleted"
    else:
        assert seen["raised"] is None
    if operation == "embed":
        assert seen["vectors"] == wanted.VECTORS
    elif "tools" in operation:
        assert seen["calls"] == wanted.CALLS
        assert seen["finish"] == finish_of(client, operation)
    elif operation != "models":
        assert "".join(seen["pieces"]) == TEXT
        if operation != "keep":
            assert seen["finish"] == finish_of(client, operation)
        if operation in ("chat", "stream", "respond", "respond streamed", "complete"):
            assert seen["usage"] == COUNTS
        if "stream" in operation:
            assert len(seen["pieces"]) > 1, "it came in pieces"


@pytest.mark.parametrize("kind", SCRIPTED)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_healthy(client: Client, kind: str, gateway: Gateway, tmp_path: pathlib.Path):
    with running(client, gateway, tmp_path) as child:
        jobs = {}
        for operation in client.operations:
            if not operation.startswith("leave"):
                deed = "vectors" if operation == "embed" else "say"
                jobs[operation] = child.ask(job(operation, f"{deed}.{kind}"))
        faults = []
        for operation, number in jobs.items():
            seen = child.result(number)
            try:
                check_good(client, operation, seen)
            except AssertionError as fault:
                faults.append(f"{operation}: {str(fault).splitlines()[0]}: {seen}")
            else:
                matrix.note(client.name, operation, kind)
        assert not faults, "\n".join(faults)


# What is wrong, the model that shows it, and the status if there is one.
FAULTS = [("unknown", "nowhere", 404), ("busy", "busy", 503), ("cut", "cut", None), ("fail", "fail", None)]


@pytest.mark.parametrize("kind", SCRIPTED)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_failures_are_raised(client: Client, kind: str, gateway: Gateway, tmp_path: pathlib.Path):
    asking = ["chat", "stream", "respond", "respond streamed"]
    with running(client, gateway, tmp_path) as child:
        jobs = []
        for name, model, status in FAULTS:
            model = model if name == "unknown" else f"{model}.{kind}"
            # llm knows a model before it asks for it.
            if name == "unknown" and client.name == "llm":
                continue
            for operation in (op for op in asking if op in client.operations):
                jobs.append((name, operation, status, child.ask(job(operation, model))))
        for name, operation, status, number in jobs:
            seen = child.result(number)
            assert seen["raised"], (name, operation, seen)
            if status and seen["status"]:
                assert seen["status"] == status, (name, operation, seen)
            text = "".join(seen["pieces"])
            assert TEXT.startswith(text) and text != TEXT, (name, operation, seen)
            matrix.note(client.name, name, kind)


@pytest.mark.parametrize("kind", SCRIPTED)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_leaving(client: Client, kind: str, gateway: Gateway, tmp_path: pathlib.Path):
    leaving = [name for name in client.operations if name.startswith("leave")]
    if not leaving:
        pytest.skip("not run: it has no way to leave")
    before = gateway.outcomes().get("cancelled", 0)
    with running(client, gateway, tmp_path) as child:
        for number in [child.ask(job(operation, f"endless.{kind}")) for operation in leaving]:
            seen = child.result(number)
            assert seen["raised"] is None and seen["pieces"], seen
        # The client lives on: it is the answer that it left.
        gateway.wait_until_idle()
    assert gateway.outcomes()["cancelled"] == before + len(leaving)
    for operation in leaving:
        matrix.note(client.name, operation, kind)


def talk(client: Client, gateway: Gateway, engine: str, folder: pathlib.Path) -> None:
    """Chats, streamed and not, say the same; vectors come where there are some."""
    with running(client, gateway, folder) as child:
        operations = ["chat", "stream", "respond", "respond streamed", "complete", "embed"]
        for operation in (op for op in operations if op in client.operations):
            if operation == "embed" and engine != "Ollama":
                continue
            model = "vectors" if operation == "embed" else "real"
            seen = child.result(child.ask(job(operation, model, tokens=8)))
            assert seen["raised"] is None, (operation, seen)
            if operation == "embed":
                assert [len(vector) for vector in seen["vectors"]] == [384, 384]
            else:
                # A text without a question may well be at its end.
                silent = operation == "complete" and seen["finish"] == "stop"
                assert silent or "".join(seen["pieces"]).strip(), (operation, seen)
                assert seen["usage"] is None or seen["usage"][1] in range(1, 9), (operation, seen)
            matrix.note(client.name, operation, engine)
    gateway.wait_until_idle()


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_llama_cpp(
    client: Client, llama: Llama, real_gateway: Callable[..., Gateway], tmp_path: pathlib.Path
):
    talk(client, real_gateway("openai", llama.url, real=(LLAMA_MODEL, {})), "llama.cpp", tmp_path)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_ollama(
    client: Client, ollama: Ollama, real_gateway: Callable[..., Gateway], tmp_path: pathlib.Path
):
    models = {"real": (OLLAMA_MODEL, {}), "vectors": (OLLAMA_EMBEDDER, EMBEDDING)}
    talk(client, real_gateway("ollama", ollama.url, **models), "Ollama", tmp_path)


def test_the_matrix_is_as_documented():
    """Keep this last."""
    fault = matrix.disagreement(len(CLIENTS))
    assert fault is None, fault
