"""No request is executed that was not sent, whatever the framing and whatever stands in between."""

import collections
import json
import pathlib
import re
import socket
from collections.abc import Callable, Iterator

import pytest

import framing
from counting import Echo
from processes import Gateway
from proxies import Proxy, program
from wire import Server

# Sent behind each case: who still knows where it ends answers this, and closes.
LAST = b"GET /health HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
# A server that waits for more of a body gives up long before.
SILENCE = 5.0
# Of a client that does nothing wrong, where it is told that it was too slow.
ATTEMPTS = 3
CONFIG = """
[server]
workers = 1
header_timeout_seconds = 0.5
body_timeout_seconds = 0.5
[[models]]
name = "echo"
provider = "openai"
base_url = "{}/v1"
"""


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.stop()


@pytest.fixture
def chain(
    echo: Echo, start_gateway: Callable[..., Gateway], tmp_path: pathlib.Path
) -> Iterator[Callable[..., Server]]:
    """Builds `before`, the gateway and `behind` in a row before the upstream; gives the first."""
    started: list[Proxy] = []

    def proxy(name: str, server: Server) -> Server:
        binary = program(name)
        if binary is None:
            pytest.skip(f"not run: there is no {name}")
        started.append(Proxy(name, binary, server, tmp_path))
        return started[-1]

    def build(before: str, behind: str) -> Server:
        upstream = proxy(behind, echo) if behind else echo
        gateway = start_gateway(CONFIG.format(upstream.url))
        return proxy(before, gateway) if before else gateway

    yield build
    for server in started:
        server.stop()


def send(server: Server, sent: bytes) -> bytes:
    """Sends all of it on one connection; gives what comes until the server closes it."""
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=SILENCE) as connection:
        try:
            connection.sendall(sent + LAST)
            while piece := connection.recv(65536):
                received += piece
        except (TimeoutError, ConnectionError):
            pass
    return received


def innocent(server: Server, prompt: str) -> str:
    """What a client that does nothing wrong is answered."""
    for _ in range(ATTEMPTS):
        reply = server.post(framing.CHAT, json.loads(framing.body(prompt)))
        # A machine that stood still for so long: the request was not taken.
        if reply.status != 408:
            break
    received = reply.read()
    assert reply.status == 200, (reply.status, received)
    return json.loads(received)["choices"][0]["message"]["content"]


def answered(received: bytes) -> list[str]:
    """The prompts that the answers on one connection repeat."""
    return re.findall(r'"content": "(carrier|smuggled)"', received.decode("latin-1"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("before", "behind"),
    [("", ""), ("nginx", ""), ("haproxy", ""), ("", "nginx"), ("", "haproxy")],
    ids=["direct", "behind nginx", "behind haproxy", "before nginx", "before haproxy"],
)
def test_no_extra_requests(
    echo: Echo, chain: Callable[..., Server], before: str, behind: str
):
    server = chain(before, behind)
    cases = framing.cases()
    assert len({case.name for case in cases}) == len(cases) > 150
    statuses: collections.Counter[str] = collections.Counter()
    executed: list[str] = []
    for number, case in enumerate(cases):
        seen = len(echo.prompts())
        received = send(server, case.sent)
        statuses[received[9:12].decode("latin-1") or "none"] += 1
        # On a connection that the case may have left in disorder.
        assert innocent(server, f"innocent {number}") == f"innocent {number}", case
        *during, last = echo.prompts()[seen:]
        assert last == f"innocent {number}", case
        # What is executed was sent, in the eyes of who stands in front: it is answered to who
        # sent it, and to nobody else.
        assert during == answered(received), f"{case.name}: {during}, answered {received!r}"
        if not before:
            assert during in ([], ["carrier"]), f"{case.name}: {during}"
        executed += during
    assert echo.faults() == []
    print(
        f"smuggling, {before or '-'}, gateway, {behind or '-'}: {len(cases)} cases, 0 extra "
        f"requests; executed: {dict(collections.Counter(executed))}; "
        f"first answers: {dict(statuses)}"
    )
