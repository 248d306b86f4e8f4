"""What a client must have been given by a healthy upstream."""

import pytest

import wanted
from clients import Client
from matrix import SCRIPTED
from stage import INPUT, Stage

# They report what was used, in every client.
COUNTED = ["chat", "stream", "respond", "respond streamed", "complete"]


def check(client: Client, upstream: str, operation: str, seen: dict, stage: Stage) -> None:
    if operation == "keep":
        assert (seen["raised"], seen["status"]) == ("NotFoundError", 404), "it was deleted"
    else:
        assert seen["raised"] is None, str(seen)
    if operation == "embed":
        check_vectors(seen, stage.vectors[upstream])
    elif operation == "count":
        assert seen["usage"] == [stage.answers[upstream].counts[0], 0]
    elif "tools" in operation:
        assert seen["calls"] == wanted.CALLS
        assert seen["finish"] == client.finish(operation).called
        assert seen["usage"] == wanted.COUNTS
    elif upstream not in SCRIPTED and operation.startswith("complete"):
        check_continuation(seen)
    elif operation != "models":
        check_text(client, upstream, operation, seen, stage)


def check_vectors(seen: dict, vectors: list[list[float]]) -> None:
    assert len(seen["vectors"]) == len(INPUT)
    for given, wanted_one in zip(seen["vectors"], vectors, strict=True):
        assert given == pytest.approx(wanted_one, abs=1e-5)


def check_continuation(seen: dict) -> None:
    """Of an engine's text without a question only the form is known; it may be at its end."""
    assert seen["finish"] in ("stop", "length"), str(seen)
    assert seen["finish"] == "stop" or "".join(seen["pieces"]), str(seen)
    assert seen["usage"] is None or all(seen["usage"]), str(seen)


def check_text(client: Client, upstream: str, operation: str, seen: dict, stage: Stage) -> None:
    answer = stage.answers[upstream]
    assert "".join(seen["pieces"]) == answer.text, str(seen)
    words = client.finish(operation)
    if operation not in ("keep", "command"):
        assert seen["finish"] == (words.limited if answer.limited else words.said), str(seen)
    if operation in COUNTED:
        assert seen["usage"] == answer.counts, str(seen)
    # What a command writes is read as the machine has it: that it streams is seen where it is left.
    if "stream" in operation:
        assert len(seen["pieces"]) > 1, f"it came in pieces: {seen}"
