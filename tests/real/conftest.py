"""Engines and gateways for the checks. See run.sh for the variables that say where they are."""

import os
import pathlib
import shutil
from collections.abc import Callable, Iterator

import pytest

from browser import Browser
from processes import LLAMA_MODEL, Gateway, Llama, Ollama


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    """The llama.cpp server that all checks share."""
    server = Llama(tmp_path_factory.mktemp("llama"))
    yield server
    server.stop()


@pytest.fixture
def mortal_llama(tmp_path: pathlib.Path) -> Iterator[Llama]:
    """A llama.cpp server that a check may kill."""
    server = Llama(tmp_path)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def ollama_command() -> str:
    command = os.environ.get("OLLAMA_CMD")
    if not command:
        pytest.skip("not run: OLLAMA_CMD is not set")
    return command


@pytest.fixture(scope="session")
def ollama(ollama_command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ollama]:
    server = Ollama(ollama_command, tmp_path_factory.mktemp("ollama"))
    yield server
    server.stop()


@pytest.fixture
def start_gateway(tmp_path: pathlib.Path) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways; takes a configuration file's text, a port and environment variables."""
    started = []

    def start(config: str = "", port: int | None = None, **environment: str) -> Gateway:
        started.append(Gateway(tmp_path, config, port, **environment))
        return started[-1]

    yield start
    for gateway in started:
        gateway.stop()


@pytest.fixture
def before(start_gateway: Callable[..., Gateway]) -> Callable[..., Gateway]:
    """Starts a gateway before a llama.cpp server, as one does by environment variables."""

    def start(server: Llama, config: str = "", **environment: str) -> Gateway:
        model = {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_MODEL": LLAMA_MODEL}
        return start_gateway(config, **model, **environment)

    return start


@pytest.fixture
def gateway(llama: Llama, before: Callable[..., Gateway]) -> Gateway:
    """A gateway before the shared llama.cpp server."""
    return before(llama)


@pytest.fixture
def browser(tmp_path: pathlib.Path) -> Iterator[Browser]:
    program = shutil.which("chromium")
    if not program:
        pytest.skip("not run: chromium is not on the PATH")
    with Browser(program, tmp_path) as browser:
        yield browser
