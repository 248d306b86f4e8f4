"""As much of PromQL as it takes to tell which metrics and labels an expression names."""

import re

KEYWORDS = frozenset(
    "and or unless by without on ignoring group_left group_right offset bool inf nan".split()
)
_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
_RANGE = re.compile(r"\[[^\]]*\]")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_MATCHERS = re.compile(r"\{([^}]*)\}")
_NAME = re.compile(r"(?<![\w:.])([a-zA-Z_:][\w:]*)(?!\s*\()(?![\w:])")
# A comparison with a number, and a look into the past.
_THRESHOLD = re.compile(
    r"(?<![=!<>~])(?:==|!=|>=|<=|>|<)\s*(?:bool\s+)?\d+(?:\.\d+)?(?![\w.])(?:\s*\*)?"
)
_OFFSET = re.compile(r"\boffset\s+\w+")
_SUFFIX = re.compile(r"_(?:bucket|sum|count)$")


def metrics(expression: str) -> set[str]:
    """The names of the metrics, those of histograms without suffix."""
    bare = _RANGE.sub("", _GROUPING.sub("", _MATCHERS.sub("", _STRING.sub('""', expression))))
    return {name for name in _NAME.findall(bare) if name.lower() not in KEYWORDS}


def labels(expression: str) -> set[str]:
    """The labels it selects or groups by."""
    bare = _RANGE.sub("", _STRING.sub('""', expression))
    found: set[str] = set()
    for matchers in _MATCHERS.findall(bare):
        found |= set(re.findall(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)", matchers))
    for grouping in _GROUPING.findall(bare):
        found |= set(re.findall(r"[a-zA-Z_]\w*", grouping))
    return found


def family(name: str, families: dict) -> str:
    """The family that a series belongs to."""
    base = _SUFFIX.sub("", name)
    return base if name not in families and base in families else name


def measured(expression: str) -> str:
    """What an alert watches: the expression without its thresholds, and of now."""
    return _OFFSET.sub("", _THRESHOLD.sub(_kept, expression)).strip()


def _kept(threshold: re.Match[str]) -> str:
    """`> 60 * x`: x is looked at too."""
    return "*" if threshold[0].endswith("*") else ""
