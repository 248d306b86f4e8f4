"""What the gateway exposes at /metrics."""

import re
import urllib.request
from dataclasses import dataclass, field

_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="(?:\\.|[^"\\])*"')
TIMEOUT_SECONDS = 10


@dataclass
class Family:
    kind: str
    labels: set[str] = field(default_factory=set)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
        return response.read().decode()


def parse(text: str) -> dict[str, Family]:
    """Families by name.

    Raises ValueError for a line that is no sample, and for a sample without family.
    """
    families: dict[str, Family] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            families[name] = Family(kind)
        if not line or line.startswith("#"):
            continue
        match = _SAMPLE.fullmatch(line)
        if match is None:
            raise ValueError(f"not a sample: {line}")
        name, labels = match[1], match[2]
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        found = families.get(name) or families.get(base)
        if found is None:
            raise ValueError(f"no TYPE before {line}")
        found.labels |= set(_LABEL.findall(labels or ""))
    return families
