"""What the SDKs raised, as a table in Markdown: printed, and kept beside the installed parts."""

import os
import pathlib

FILE = pathlib.Path(os.environ["REAL_PARTS"], "sdk-matrix.md")

_versions: dict[str, str] = {}
_cells: dict[str, dict[str, list[str]]] = {}
_calls = 0


def version(sdk: str, number: str) -> None:
    _versions[sdk] = number


def note(fault: str, sdk: str, reading: dict) -> None:
    """One call. Equal results of one kind of call are one entry."""
    global _calls
    _calls += 1
    status = reading.get("status")
    raised = reading["raised"] or "complete"
    entry = f"{raised} {status}" if status else raised
    entries = _cells.setdefault(fault, {}).setdefault(sdk, [])
    if entry not in entries:
        entries.append(entry)


def lines() -> list[str]:
    if not _cells:
        return []
    names = list(_versions)
    rows = [["fault", *(f"{name} {_versions[name]}" for name in names)], ["---"] * (len(names) + 1)]
    for fault, cells in _cells.items():
        rows.append([fault, *("<br>".join(sorted(cells.get(name, []))) for name in names)])
    table = [f"{_calls} calls through the gateway", ""]
    table += ["| " + " | ".join(row) + " |" for row in rows]
    FILE.write_text("\n".join(table) + "\n")
    return table
