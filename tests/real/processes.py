"""Programs that the checks start: each on a free port, its output in a file, ended by its own id."""

import contextlib
import itertools
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from wire import Server

HERE = pathlib.Path(__file__).parent
TIDEGATE = os.environ["TIDEGATE_BIN"]
LLAMA_MODEL = "smollm2-135m"
OLLAMA_MODEL = "smollm2:135m"
# How long a program may take to be there, or to be gone.
PATIENCE = 30.0
# As the kernel spells it in /proc/net/tcp.
ESTABLISHED = "01"

Answer = TypeVar("Answer")


def wait_until(what: str, condition: Callable[[], Answer], seconds: float = PATIENCE) -> Answer:
    """Asks until the answer is one; gives it."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.01)
    return answer


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


# Below 32768: the kernel gives connections the ports from there on, and a program that is told one of
# those may find it taken when it starts. Each is given once.
_PORTS = range(20_000, 32_000)
_first = os.getpid() * 97 % len(_PORTS)
_free_ports = filter(_is_free, itertools.chain(_PORTS[_first:], _PORTS[:_first]))


def free_port() -> int:
    return next(_free_ports)


def clean_environment(**more: str) -> dict[str, str]:
    """This process' environment without anything that would configure a gateway."""
    ours = ("OLLAMA_", "OPENAI_", "VLLM_", "HTTP_PROXY", "http_proxy")
    names = ("PORT", "HOST", "WORKERS", "AUTH_KEY", "LOG_LEVEL", "ENABLE_METRICS")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ours) and name not in names
    }
    return kept | more


class Process(Server):
    """A running server."""

    def __init__(
        self,
        command: list[str],
        port: int,
        ready: str,
        folder: pathlib.Path,
        environment: dict[str, str] | None = None,
    ):
        super().__init__(port)
        self._log = folder / f"{pathlib.Path(command[0]).name}-{port}.log"
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                command,
                cwd=folder,
                env=environment or clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until(f"{command} to answer", lambda: self._is_there(ready))
        except BaseException:
            self.stop()
            raise

    def _is_there(self, path: str) -> bool:
        assert self._child.poll() is None, f"ended too soon:\n{self.log()}"
        return self.answers(path)

    @property
    def pid(self) -> int:
        return self._child.pid

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def children(self) -> set[int]:
        """The processes that it has started, and that have not ended."""
        found = set()
        for file in pathlib.Path("/proc").glob("[0-9]*/stat"):
            # One may end while they are listed.
            with contextlib.suppress(OSError):
                # Behind the name, which may hold anything, come the state and the parent.
                state, parent, *_ = file.read_text().rpartition(")")[2].split()
                if int(parent) == self._child.pid and state != "Z":
                    found.add(int(file.parent.name))
        return found

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def wait(self, seconds: float) -> int:
        """The exit code, which must come within the time."""
        return self._child.wait(seconds)

    def kill(self) -> None:
        """Ends it at once, without a word."""
        self._child.kill()
        self._child.wait(PATIENCE)

    def stop(self) -> None:
        """Ends it, if it still runs, and what it has started."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(self._child.pid, signal.SIGKILL)
                self._child.wait(PATIENCE)


class Llama(Process):
    """A llama.cpp server that chats, or one that embeds."""

    def __init__(
        self,
        folder: pathlib.Path,
        port: int | None = None,
        model: str | None = None,
        embeds: bool = False,
    ):
        port = port or free_port()
        program = str(HERE / "llama_server.py")
        file = model or os.environ["REAL_MODEL"]
        command = [sys.executable, program, file, str(port), LLAMA_MODEL]
        command += ["--embed"] * embeds
        super().__init__(command, port, "/health", folder)

    def is_idle(self) -> bool:
        metrics = self.metrics()
        waiting = metrics["llamacpp:requests_processing"] + metrics["llamacpp:requests_deferred"]
        return waiting == 0 and not any(slot["is_processing"] for slot in self.slots())

    def slots(self) -> list[dict]:
        reply = self.get("/slots")
        return reply.json()


class Ollama(Process):
    """An Ollama; takes environment variables."""

    def __init__(self, command: str, folder: pathlib.Path, **environment: str):
        port = free_port()
        environment = clean_environment(OLLAMA_HOST=f"127.0.0.1:{port}", **environment)
        super().__init__([command, "serve"], port, "/api/version", folder, environment)


    def kill_runner(self) -> None:
        """Ends the processes that run models, one for each, and not the server."""
        runners = self.children()
        assert runners, "no model is loaded"
        for runner in runners:
            os.kill(runner, signal.SIGKILL)
        wait_until("the runners to be gone", lambda: not runners & self.children())


class Gateway(Process):
    """A Tidegate, configured by its environment and, if given, by the text of a file."""

    def __init__(
        self,
        folder: pathlib.Path,
        config: str = "",
        port: int | None = None,
        **environment: str,
    ):
        port = port or free_port()
        command = [TIDEGATE]
        if config:
            file = folder / f"tidegate-{port}.toml"
            file.write_text(config)
            command += ["--config", file.name]
        environment = clean_environment(PORT=str(port), **environment)
        super().__init__(command, port, "/health", folder, environment)

    def wait_until_ready(self) -> None:
        """Until a model is known to be reachable."""
        wait_until("readiness", lambda: self.answers("/ready"))

    def connections_to(self, server: Server) -> set[str]:
        """The open connections from here to there, as the kernel names them."""
        process = pathlib.Path(f"/proc/{self.pid}")
        ours = set()
        for file in (process / "fd").iterdir():
            # One may be closed while they are listed.
            with contextlib.suppress(FileNotFoundError):
                ours.add(os.readlink(file))
        found = set()
        for line in (process / "net" / "tcp").read_text().splitlines()[1:]:
            _, _, remote, state, *_, inode = line.split()[:10]
            there = int(remote.split(":")[1], 16) == server.port
            if there and state == ESTABLISHED and f"socket:[{inode}]" in ours:
                found.add(inode)
        return found

    def outcomes(self) -> dict[str, int]:
        """How many streams have ended in which way; ways that none took are left out."""
        found = Counter()
        for series, value in self.metrics().items():
            if series.startswith("ai_gateway_streams_total{") and value:
                labels = dict(re.findall(r'(\w+)="([^"]*)"', series))
                found[labels["status"]] += int(value)
        return dict(found)

    def wait_until_idle(self) -> None:
        """Until no stream is left and no permit is held."""

        def idle() -> bool:
            metrics = self.metrics()
            held = ("ai_gateway_active_streams", "ai_gateway_permits_in_use{")
            return not any(value for name, value in metrics.items() if name.startswith(held))

        wait_until("the gateway to be idle", idle, 5)
