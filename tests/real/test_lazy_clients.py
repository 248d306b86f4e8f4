"""Clients that ask for a flood and never read: what they cost, and when they go."""

import math
import pathlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from flowing import Flow, ask, config
from processes import Gateway, wait_until

CLIENTS = 50
WRITE_TIMEOUT = 10
MARGIN = 20
# Of the gateway's own memory, for each client that does not read.
HELD_KIB = 256
# Of the upstream's bytes, wherever they are: in the gateway, and in the kernel before and behind it.
TAKEN_KIB = 1024
# As by default: what a stream holds before its upstream is slowed.
STREAM_BUFFER = 4096
TOKENS = 100
# Twenty tokens fit into it. On a machine of its own it is some milliseconds.
LONGEST_GAP_SECONDS = 2


@pytest.fixture
def upstream() -> Iterator[Flow]:
    flow = Flow()
    yield flow
    flow.stop()


def resident_kib(gateway: Gateway) -> int:
    status = pathlib.Path(f"/proc/{gateway.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])


def lazy_clients(gateway: Gateway) -> list[socket.socket]:
    clients = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(CLIENTS)]
    for client in clients:
        ask(client, "flood")
    return clients


def wait_until_full(gateway: Gateway, upstream: Flow) -> None:
    """Until every stream holds what it may, and the upstream gets rid of no more."""

    def held_back() -> bool:
        streams = gateway.get("/api/chat/streams").json()["streams"]
        held = [stream["bytesBuffered"] > STREAM_BUFFER for stream in streams]
        return held == [True] * CLIENTS and upstream.log().stuck == CLIENTS

    wait_until("all to hold what they may", held_back, WRITE_TIMEOUT)


def paced(gateway: Gateway) -> float:
    """The longest gap, all but one in a hundred, within an answer that comes token by token."""
    message = {"role": "user", "content": f"paced {TOKENS}"}
    body = {"model": "flow", "stream": True, "messages": [message]}
    arrived = []
    for event in gateway.post("/v1/chat/completions", body).events():
        arrived.append((time.monotonic(), event.data))
    assert arrived[-1][1] == "[DONE]" and len(arrived) >= TOKENS + 2
    gaps = sorted(after[0] - before[0] for before, after in zip(arrived, arrived[1:]))
    return gaps[math.ceil(0.99 * len(gaps)) - 1]


def warm_up(gateway: Gateway) -> None:
    """As many streams at a time as there will be, so that what a worker keeps is there already."""
    readers = [threading.Thread(target=paced, args=[gateway]) for _ in range(CLIENTS)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()


@pytest.mark.timeout(240)
def test_lazy_clients_cost_little_and_go(
    upstream: Flow, start_gateway: Callable[..., Gateway]
):
    limits = f"write_timeout_seconds = {WRITE_TIMEOUT}\nworkers = 2"
    gateway = start_gateway(config(upstream.port, limits))
    warm_up(gateway)
    gateway.wait_until_idle()
    alone = paced(gateway)
    before = resident_kib(gateway)

    clients = lazy_clients(gateway)
    wait_until_full(gateway, upstream)
    held = resident_kib(gateway) - before
    beside = paced(gateway)
    held = max(held, resident_kib(gateway) - before)
    assert gateway.metrics()["ai_gateway_active_streams"] == CLIENTS, "they are all there"
    sent = upstream.log().sent
    print(
        f"{CLIENTS} clients that do not read: {held / CLIENTS:.1f} KiB each, "
        f"{sent / CLIENTS / 1024:.0f} KiB taken from the upstream by gateway and kernel; "
        f"p99 gap of another stream {alone * 1000:.1f} ms alone, {beside * 1000:.1f} ms beside them"
    )
    assert held / CLIENTS <= HELD_KIB
    assert sent / CLIENTS / 1024 <= TAKEN_KIB, "they slow their own upstream"
    assert beside < LONGEST_GAP_SECONDS

    def all_gone() -> bool:
        return gateway.outcomes().get("cancelled") == CLIENTS

    wait_until("all to be dropped", all_gone, WRITE_TIMEOUT + MARGIN)
    gateway.wait_until_idle()
    wait_until("the upstream to see it", lambda: upstream.log().open == 0)
    assert upstream.log().closed_by_peer == CLIENTS
    for client in clients:
        client.close()
