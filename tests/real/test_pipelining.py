"""A client that sends far more behind its request than anybody buffers: it costs no CPU time."""

import os
import pathlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from flowing import Flow, ask, config, read_until
from processes import Gateway, wait_until

HEALTH = b"GET /health HTTP/1.1\r\nHost: gateway\r\n\r\n"
LONG_BODY = (
    b"POST /api/chat HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000000\r\n\r\n" + b" " * 1_000_000
)
WATCHED_SECONDS = 3
# A connection that wakes itself without end takes all of a core that it can get.
CPU_SHARE = 0.2


@pytest.fixture
def upstream() -> Iterator[Flow]:
    flow = Flow()
    yield flow
    flow.stop()


def cpu_seconds(gateway: Gateway) -> float:
    fields = pathlib.Path(f"/proc/{gateway.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("flood", [HEALTH * 10_000, LONG_BODY], ids=["requests", "a long body"])
def test_a_flood_behind_an_answer_costs_nothing(
    upstream: Flow, start_gateway: Callable[..., Gateway], flood: bytes
):
    gateway = start_gateway(config(upstream.port, "workers = 1"))
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        ask(client, "silent")
        read_until(client, b"one", 10)
        try:
            client.sendall(flood)
        except OSError as error:
            print(f"the gateway took no more: {error}")
        before = cpu_seconds(gateway)
        time.sleep(WATCHED_SECONDS)
        used = cpu_seconds(gateway) - before
    print(f"{used:.2f} s of CPU time in {WATCHED_SECONDS} s")
    assert used <= WATCHED_SECONDS * CPU_SHARE
    # It has seen its client leave, or has left it, long before the next heartbeat.
    wait_until("the upstream to see it", lambda: upstream.log().open == 0, 5)
    gateway.wait_until_idle()
    assert gateway.outcomes() == {"cancelled": 1}
