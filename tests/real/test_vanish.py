"""Clients that vanish without a word: packets to and from them are dropped. See network.py."""

import time
from collections.abc import Callable, Iterator

import pytest

from flowing import Flow, ask, config, read_until
from network import Network, believes_to_be_connected, why_not
from processes import Gateway, wait_until

WRITE_TIMEOUT = 2
HEARTBEAT = 1
# The kernel looks at its timers ever more rarely; and the machine may be busy.
MARGIN = 8


@pytest.fixture
def network() -> Iterator[Network]:
    if reason := why_not():
        pytest.skip(f"not run: {reason}")
    made = Network()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    ("prompt", "stream", "seen"),
    [
        # What is written is not acknowledged.
        pytest.param("paced 10000", True, b"one", id="tokens flow"),
        # Heartbeats are written, and not acknowledged.
        pytest.param("silent", True, b"one", id="the upstream is silent"),
        pytest.param("never", True, None, id="there is no token yet"),
        # Nothing is ever written; keep-alive probes are not answered.
        pytest.param("paced 10000", False, None, id="the answer is not streamed"),
    ],
)
def test_what_is_held_is_freed(
    network: Network,
    start_gateway: Callable[..., Gateway],
    prompt: str,
    stream: bool,
    seen: bytes | None,
):
    with network.at_the_gateway():
        upstream = Flow()
        limits = f"write_timeout_seconds = {WRITE_TIMEOUT}\nheartbeat_seconds = {HEARTBEAT}"
        gateway = start_gateway(config(upstream.port, f'host = "0.0.0.0"\n{limits}'))
        try:
            client = network.connect(gateway.port)
            ask(client, prompt, stream)
            wait_until("the upstream to be asked", lambda: upstream.log().open == 1)
            if seen:
                read_until(client, seen, 10)
            assert gateway.metrics()["ai_gateway_active_streams"] == 1
            network.vanish()
            begun = time.monotonic()
            limit = WRITE_TIMEOUT + MARGIN
            wait_until("the upstream to see it", lambda: upstream.log().open == 0, limit)
            print(f"{prompt}, stream {stream}: after {time.monotonic() - begun:.2f} s")
            gateway.wait_until_idle()
            assert upstream.log().closed_by_peer == 1
            assert gateway.outcomes() == {"cancelled": 1}
            assert believes_to_be_connected(client), "nobody told the gateway"
            client.close()
        finally:
            gateway.stop()
            upstream.stop()
