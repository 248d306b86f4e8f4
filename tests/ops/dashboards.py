"""The dashboards: what a schema says of them, their layout, and what each panel must have."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

from jsonschema import Draft7Validator
from project import Dashboard, Project
from report import Report
from schema import Schemas

GRID_COLUMNS = 24
# Lower than this is out of sight when the dashboard opens.
FIRST_SIGHT = 8


def check_dashboards(report: Report, project: Project) -> bool:
    if report.attempt("the dashboards parse", lambda: project.dashboards) is None:
        return False
    for name, problems in (
        ("panels do not overlap and stay in the grid", layout),
        ("panels have their own ids and titles", identities),
        ("panels have descriptions, units and thresholds", furnishing),
        ("the first row answers by numbers with thresholds", first_row),
    ):
        report.check(f"dashboards: {name}", each(project, problems))
    return True


def check_schema(report: Report, project: Project, schemas: Schemas) -> None:
    def whole(dashboard: Dashboard) -> list[str]:
        return errors(schemas.dashboard, dashboard.document)

    names = ", ".join(dashboard.name for dashboard in project.dashboards)
    report.check("dashboards: are what Grafana's schema says", each(project, whole), names)
    panels = [panel for dashboard in project.dashboards for panel in dashboard.panels]
    kinds = Counter(panel["type"] for panel in panels)
    note = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    found = each(project, lambda dashboard: panel_errors(dashboard, schemas))
    report.check("dashboards: panels are what the schemas of their kinds say", found, note)


def each(project: Project, rule: Callable[[Dashboard], Any]) -> Iterator[str]:
    for dashboard in project.dashboards:
        yield from (f"{dashboard.name}: {problem}" for problem in rule(dashboard))


def errors(schema: dict[str, Any], instance: Any) -> list[str]:
    found = Draft7Validator(schema).iter_errors(instance)
    return [f"{error.json_path}: {error.message[:300]}" for error in found]


def panel_errors(dashboard: Dashboard, schemas: Schemas) -> Iterator[str]:
    for panel in dashboard.panels:
        options, custom = schemas.panels[panel["type"]]
        found = errors(options, panel["options"])
        if custom is not None:
            found += errors(custom, panel["fieldConfig"]["defaults"]["custom"])
        yield from (f"{panel['title']}: {error}" for error in found)


def layout(dashboard: Dashboard) -> Iterator[str]:
    placed = [(panel["title"], panel["gridPos"]) for panel in dashboard.document["panels"]]
    for title, at in placed:
        if at["x"] < 0 or at["y"] < 0 or at["w"] < 1 or at["h"] < 1:
            yield f"{title}: {at}"
        if at["x"] + at["w"] > GRID_COLUMNS:
            yield f"{title} is wider than the grid"
    for (title, a), (other, b) in combinations(placed, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        if not beside and not above:
            yield f"{title} overlaps {other}"


def identities(dashboard: Dashboard) -> Iterator[str]:
    for key in ("id", "title"):
        counts = Counter(panel[key] for panel in dashboard.document["panels"])
        bad = [value for value, count in counts.items() if count > 1 or not value]
        yield from (f"{key} {value!r} is empty or not unique" for value in bad)


def furnishing(dashboard: Dashboard) -> Iterator[str]:
    for panel in dashboard.panels:
        defaults = panel["fieldConfig"]["defaults"]
        given = {
            "description": panel.get("description"),
            "unit": defaults.get("unit"),
            "thresholds": defaults.get("thresholds", {}).get("steps"),
            "targets": panel.get("targets"),
        }
        yield from (f"{panel['title']} has no {name}" for name, value in given.items() if not value)


def first_row(dashboard: Dashboard) -> Iterator[str]:
    heading, *_ = dashboard.document["panels"]
    if heading["type"] != "row" or heading["gridPos"]["y"] != 0:
        yield "does not begin with a row's heading"
    first = [panel for panel in dashboard.panels if panel["gridPos"]["y"] == 1]
    yield from (f"{panel['title']} is no number" for panel in first if panel["type"] != "stat")
    telling = [
        panel for panel in first if len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) > 1
    ]
    if 2 * len(telling) <= len(first):
        yield "most of what is seen first has no threshold"
    if any(panel["gridPos"]["y"] + panel["gridPos"]["h"] > FIRST_SIGHT for panel in first):
        yield "the first row is too high"
