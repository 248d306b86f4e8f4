"""Every SDK raises on every fault, says which it was, and has kept what came before.

All SDKs ask with their defaults, which is that they try again by themselves.
"""

import contextlib
import pathlib
from collections.abc import Iterator

import pytest

import report
import setting
from faults import ANY, FAULTS, Fault
from processes import Gateway
from readers import SDKS, Reader, Sdk
from scripted import Step, Upstream
from wires import PIECES, TEXT, WIRES

CASES = {fault.model(wire): (fault, wire) for fault in FAULTS for wire in WIRES}


def script(request: dict) -> list[Step]:
    fault, wire = CASES[request["model"]]
    return fault.streamed(wire) if request["stream"] else fault.whole(wire)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(script) as upstream:
        yield upstream


def models(upstream: Upstream) -> Iterator[str]:
    for name, (fault, wire) in CASES.items():
        url = fault.base_url.format(port=upstream.port)
        yield setting.model(name, wire.name, url, fault.limits)


@pytest.fixture(scope="module")
def gateways(
    upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Gateway]]:
    folder = tmp_path_factory.mktemp("gateways")
    with contextlib.ExitStack() as stack:
        started = {}
        for name, heartbeat in setting.HEARTBEATS.items():
            started[name] = setting.start(folder, heartbeat, models(upstream))
            stack.callback(started[name].stop)
        yield started


class Readings:
    """What one SDK made of the whole catalogue: each fault, streamed and whole, by each wire, with
    and without signs of life.
    """

    def __init__(self, sdk: Sdk, gateways: dict[str, Gateway], upstream: Upstream, logs: pathlib.Path):
        self.found: dict[tuple[str, str, str, str], dict] = {}
        with contextlib.ExitStack() as stack:
            jobs = []
            for name, gateway in gateways.items():
                reader = stack.enter_context(Reader(sdk, gateway.url, logs / name))
                for fault in FAULTS:
                    for wire in WIRES:
                        for mode in sdk.modes:
                            key = (fault.name, wire.name, mode, name)
                            prompt = " ".join((sdk.name, *key))
                            job = reader.ask(setting.body(fault.model(wire), prompt, mode))
                            jobs.append((key, prompt, reader, job))
            report.version(sdk.name, reader.version)
            for key, prompt, reader, job in jobs:
                seen = reader.result(job) | {"attempts": upstream.chats[prompt]}
                report.note(key[0], sdk.name, seen)
                self.found[key] = seen

    def of(self, fault: Fault) -> dict[tuple[str, str, str], dict]:
        return {key[1:]: seen for key, seen in self.found.items() if key[0] == fault.name}


@pytest.fixture(scope="module", params=SDKS, ids=lambda sdk: sdk.name)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    return request.param


@pytest.fixture(scope="module")
def readings(
    sdk: Sdk,
    gateways: dict[str, Gateway],
    upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Readings:
    return Readings(sdk, gateways, upstream, tmp_path_factory.mktemp("readers"))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_it_raises(fault: Fault, sdk: Sdk, readings: Readings):
    cases = readings.of(fault)
    assert len(cases) == len(WIRES) * len(sdk.modes) * len(setting.HEARTBEATS)
    for (wire, mode, heartbeat), seen in cases.items():
        where = f"{wire}, {mode}, {heartbeat}: {seen}"
        assert seen["raised"] and seen["finish"] is None, where
        assert seen["code"] == fault.code, where
        if mode == "whole" or seen["status"]:
            # Tokens that came together with the end of it all need not be sent before it is told.
            assert seen["text"] == "", where
        elif fault.tokens == ANY:
            assert TEXT.startswith(seen["text"]), where
        else:
            assert seen["text"] == "".join(PIECES[: fault.tokens]), where
        assert seen["attempts"] <= fault.attempts, where


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_it_does_not_ask_again(fault: Fault, sdk: Sdk, readings: Readings):
    """The gateway has tried as often as is good for the upstream, and says so."""
    for case, seen in readings.of(fault).items():
        assert seen["posts"] == 1, (case, seen)


def test_every_stream_failed(readings: Readings, gateways: dict[str, Gateway]):
    """After all SDKs: nothing counts as complete, nothing is held."""
    for gateway in gateways.values():
        gateway.wait_until_idle()
        failed = {"upstream_error", "timed_out", "truncated", "rejected"}
        assert set(gateway.outcomes()) == failed
