"""What each client did at each kind of upstream, as the table that `docs/clients.md` holds."""

import contextlib
import os
import pathlib
from collections.abc import Iterable, Iterator

import pytest

DOC = pathlib.Path(__file__).parents[3] / "docs" / "clients.md"
BEGIN, END = "<!-- matrix: written by the checks -->\n", "<!-- end of the matrix -->"
SCRIPTED = ["openai", "vllm", "ollama"]
ENGINES = ["llama.cpp", "Ollama"]
LETTERS = dict(zip(SCRIPTED + ENGINES, ["o", "v", "l", "**o**", "**l**"]))
COLUMNS = {
    "chat": ["chat"],
    "stream": ["stream", "command"],
    "tools": ["chat tools", "stream tools"],
    "text": ["complete", "complete streamed"],
    "embeddings": ["embed"],
    "models": ["models", "count"],
    "Responses": [
        "respond",
        "respond streamed",
        "respond tools",
        "respond streamed tools",
        "cancel response",
        "keep",
    ],
    "errors": ["unknown", "invalid", "busy", "uncounted", "lacking", "too long"],
    "broken answers": ["cut", "fail"],
    "cancel": ["leave", "leave response"],
}

# A client, an upstream, and an operation or what is wrong.
Case = tuple[str, str, str]

_order: list[str] = []
_versions: dict[str, str] = {}
_tried: set[Case] = set()
_failed: set[Case] = set()


def order(clients: list[str]) -> None:
    """Of the rows."""
    _order[:] = clients


def version(client: str, number: str) -> None:
    _versions[client] = number


@contextlib.contextmanager
def trying(client: str, upstream: str, what: str) -> Iterator[None]:
    case = (client, upstream, what)
    try:
        yield
    except pytest.skip.Exception:
        raise
    except BaseException:
        _tried.add(case)
        _failed.add(case)
        raise
    else:
        _tried.add(case)


def lines() -> list[str]:
    """A letter for each kind of upstream at which all that was tried went well."""
    if not _versions:
        return []
    rows = [["client", "version", *COLUMNS], ["---"] * (len(COLUMNS) + 2)]
    for client, number in sorted(_versions.items(), key=lambda known: _order.index(known[0])):
        rows.append([client, number, *(cell(client, parts) for parts in COLUMNS.values())])
    return ["| " + " | ".join(row) + " |" for row in rows]


def cell(client: str, parts: list[str]) -> str:
    def well(upstream: str) -> bool:
        cases = {(client, upstream, part) for part in parts}
        return bool(cases & _tried) and not cases & _failed

    return " ".join(letter for upstream, letter in LETTERS.items() if well(upstream))


def disagreement(wanted: Iterable[Case]) -> str | None:
    """What the document says otherwise. Nothing is held against it unless all was tried, and
    nothing is written there unless all went well."""
    if set(wanted) - _tried or _failed:
        return None
    before, rest = DOC.read_text().split(BEGIN)
    kept, after = rest.split(END)
    found = "\n" + "\n".join(lines()) + "\n\n"
    if kept == found:
        return None
    if "UPDATE_DOCS" in os.environ:
        DOC.write_text(before + BEGIN + found + END + after)
        return None
    return f"docs/clients.md says otherwise; UPDATE_DOCS=1 writes it anew:{found}"
