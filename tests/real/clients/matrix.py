"""What each client did at each kind of upstream, as the table that `docs/clients.md` holds."""

import os
import pathlib

DOC = pathlib.Path(__file__).parents[3] / "docs" / "clients.md"
BEGIN, END = "<!-- matrix: written by the checks -->\n", "<!-- end of the matrix -->"
UPSTREAMS = ["openai", "vllm", "ollama", "llama.cpp", "Ollama"]
COLUMNS = {
    "chat": ["chat", "respond"],
    "stream": ["stream", "respond streamed"],
    "tools": ["chat tools", "stream tools", "respond tools", "respond streamed tools"],
    "text": ["complete", "complete streamed"],
    "embeddings": ["embed"],
    "models": ["models", "keep"],
    "errors": ["unknown", "busy", "invalid"],
    "cut streams": ["cut", "fail"],
    "cancel": ["leave", "leave response"],
}

_versions: dict[str, str] = {}
_done: dict[tuple[str, str], set[str]] = {}
_seen_upstreams: set[str] = set()


def version(client: str, number: str) -> None:
    _versions[client] = number


def note(client: str, operation: str, upstream: str) -> None:
    """An operation that did what it should."""
    _seen_upstreams.add(upstream)
    column = next(name for name, parts in COLUMNS.items() if operation.split(":")[0] in parts)
    _done.setdefault((client, column), set()).add(upstream)


def lines() -> list[str]:
    """A letter for each kind of upstream at which all went well."""
    if not _versions:
        return []
    letters = dict(zip(UPSTREAMS, ["o", "v", "l", "**o**", "**l**"]))
    rows = [["client", "version", *COLUMNS], ["---"] * (len(COLUMNS) + 2)]
    for client, number in _versions.items():
        cells = [_done.get((client, column), set()) for column in COLUMNS]
        told = [" ".join(letters[name] for name in UPSTREAMS if name in cell) for cell in cells]
        rows.append([client, number, *told])
    return ["| " + " | ".join(row) + " |" for row in rows]


def disagreement(clients: int) -> str | None:
    """What the document says otherwise. Nothing is held against it unless all was tried."""
    if len(_versions) < clients or set(UPSTREAMS) - _seen_upstreams:
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
