"""No SDK raises on a healthy answer, however it comes, and each has all of it."""

import contextlib
import pathlib
from collections.abc import Iterator

import pytest

import setting
from healthy import HEALTHY
from processes import Gateway
from readers import SDKS, Reader, Sdk
from scripted import Step, Upstream
from wires import TEXT, WIRES

CASES = {healthy.model(wire): (healthy, wire) for healthy in HEALTHY for wire in WIRES}
# As it goes over the wire in both dialects: one line end. Readers take a blank line for an event.
SIGN_OF_LIFE = b": k\n"


def script(request: dict) -> list[Step]:
    healthy, wire = CASES[request["model"]]
    return healthy.streamed(wire) if request["stream"] else healthy.whole(wire)


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Gateway]]:
    folder = tmp_path_factory.mktemp("gateways")
    with Upstream(script) as upstream, contextlib.ExitStack() as stack:
        url = f"http://127.0.0.1:{upstream.port}"
        models = [setting.model(name, wire.name, url) for name, (_, wire) in CASES.items()]
        started = {}
        for name, heartbeat in setting.HEARTBEATS.items():
            started[name] = setting.start(folder, heartbeat, models)
            stack.callback(started[name].stop)
        yield started


@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.name)
def test_it_is_read_whole(sdk: Sdk, gateways: dict[str, Gateway], tmp_path: pathlib.Path):
    with contextlib.ExitStack() as stack:
        jobs = []
        for name, gateway in gateways.items():
            reader = stack.enter_context(Reader(sdk, gateway.url, tmp_path / name))
            for model in CASES:
                for mode in sdk.modes:
                    job = reader.ask(setting.body(model, "Say something.", mode))
                    jobs.append(((model, mode, name), reader, job))
        for case, reader, job in jobs:
            seen = reader.result(job)
            assert seen["raised"] is None and seen["finish"] == "stop", (case, seen)
            assert seen["text"] == TEXT, (case, seen)
            assert seen["posts"] == 1, (case, seen)


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_there_are_signs_of_life(gateways: dict[str, Gateway], path: str):
    """That the SDKs have met some, and of which form they are."""
    body = setting.body("slow-tokens.openai", "Say something.", "stream")
    came = gateways["chatty"].post(path, body).read()
    lines = came.split(b"\n")
    assert lines.count(SIGN_OF_LIFE.rstrip()) >= 3
    for before, sign, after in zip(lines, lines[1:], lines[2:]):
        if sign.startswith(b":"):
            assert sign + b"\n" == SIGN_OF_LIFE and after, (before, sign, after)
