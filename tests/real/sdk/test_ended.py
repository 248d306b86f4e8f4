"""An answer that somebody ends from outside: by `DELETE`, or by stopping the gateway."""

import contextlib
import pathlib
import signal
from collections.abc import Iterator

import pytest

import report
import setting
from faults import BEFORE, HELD, Fault
from processes import Gateway, wait_until
from readers import SDKS, Reader
from scripted import Step, Upstream
from wires import PIECES, WIRES

CASES = {fault.model(wire): (fault, wire) for fault in HELD for wire in WIRES}
GRACE = 1
Job = tuple[tuple, Fault, str, Reader, int]


def script(request: dict) -> list[Step]:
    fault, wire = CASES[request["model"]]
    return fault.streamed(wire) if request["stream"] else fault.whole(wire)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(script) as upstream:
        yield upstream


@pytest.fixture(params=setting.HEARTBEATS)
def gateway(
    request: pytest.FixtureRequest, upstream: Upstream, tmp_path: pathlib.Path
) -> Iterator[Gateway]:
    url = f"http://127.0.0.1:{upstream.port}"
    models = [
        setting.model(name, wire.name, url, fault.limits) for name, (fault, wire) in CASES.items()
    ]
    heartbeat = setting.HEARTBEATS[request.param]
    gateway = setting.start(tmp_path, heartbeat, models, drain_grace_seconds=GRACE)
    yield gateway
    gateway.stop()


@pytest.fixture
def jobs(gateway: Gateway, upstream: Upstream, tmp_path: pathlib.Path) -> Iterator[list[Job]]:
    """Every SDK waits for the rest of every answer."""
    with contextlib.ExitStack() as stack:
        begun = []
        for sdk in SDKS:
            reader = stack.enter_context(Reader(sdk, gateway.url, tmp_path / sdk.name))
            for fault in HELD:
                for mode in sdk.modes if fault.whole else ["stream"]:
                    for wire in WIRES:
                        body = setting.body(fault.model(wire), "Go on.", mode)
                        case = (sdk.name, fault.name, wire.name, mode)
                        begun.append((case, fault, mode, reader, reader.ask(body)))

        for _, _, _, reader, _ in begun:
            report.version(reader.sdk.name, reader.version)

        def held() -> bool:
            arrived = upstream.chats.total() == len(begun)
            streaming = [stream for stream in streams(gateway) if stream["state"] == "streaming"]
            return arrived and len(streaming) == sum(fault.tokens > 0 for _, fault, *_ in begun)

        wait_until("all answers to be held", held)
        yield begun


def streams(gateway: Gateway) -> list[dict]:
    return gateway.get("/api/chat/streams").json()["streams"]


def test_by_delete(gateway: Gateway, jobs: list[Job]):
    for stream in streams(gateway):
        assert gateway.send("DELETE", f"/api/chat/{stream['requestId']}").status == 200
    for case, fault, mode, reader, job in jobs:
        seen = reader.result(job)
        report.note(f"cancelled: {fault.name}", reader.sdk.name, seen)
        assert seen["raised"] and seen["finish"] is None, (case, seen)
        assert seen["code"] == "CANCELLED" and seen["posts"] == 1, (case, seen)
        assert seen["text"] == expected(fault, mode), (case, seen)
    gateway.wait_until_idle()
    assert gateway.outcomes() == {"cancelled": len(jobs)}


def test_by_drain(gateway: Gateway, jobs: list[Job]):
    gateway.signal(signal.SIGTERM)
    for case, fault, mode, reader, job in jobs:
        seen = reader.result(job)
        report.note(f"drained: {fault.name}", reader.sdk.name, seen)
        assert seen["raised"] and seen["finish"] is None, (case, seen)
        assert seen["text"] == expected(fault, mode), (case, seen)
        if seen["posts"] == 1:
            assert seen["code"] == "DRAINED", (case, seen)
        else:
            # Told by a status that another gateway might do better: there is none.
            assert mode == "whole" or fault.tokens == 0, (case, seen)
    assert gateway.wait(GRACE + 10) == 0


def expected(fault: Fault, mode: str) -> str:
    return "".join(PIECES[: fault.tokens]) if mode == "stream" else ""
