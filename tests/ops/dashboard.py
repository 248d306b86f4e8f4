"""The dashboard: what a schema says of it, its layout, and whether its metrics exist."""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import exposition
import promql
from exposition import Family
from jsonschema import Draft7Validator
from project import Project
from report import Report
from schema import Schemas

GRID_COLUMNS = 24
# Prometheus' own.
BUILT_IN = {
    "up": Family("gauge"),
    "ALERTS": Family("gauge", {"alertname", "alertstate", "severity"}),
}
# Exposed from the first event on.
LATER = {
    "ai_gateway_rejected_requests_total": Family("counter", {"reason"}),
    "ai_gateway_upstream_failures_total": Family("counter", {"model", "kind"}),
}
# What Prometheus adds to every series that it scrapes.
TARGET_LABELS = {"job", "instance"}


def check_dashboard(report: Report, project: Project) -> bool:
    if report.attempt("the dashboard parses", lambda: project.dashboard) is None:
        return False
    report.check("dashboard: panels do not overlap and stay in the grid", layout(project))
    report.check("dashboard: panels have their own ids and titles", identities(project))
    report.check("dashboard: panels have descriptions, units and thresholds", furnishing(project))
    return True


def check_schema(report: Report, project: Project, schemas: Schemas) -> None:
    found = errors(schemas.dashboard, project.dashboard)
    report.check("dashboard: is what Grafana's schema says", found)
    kinds = Counter(panel["type"] for panel in project.panels)
    note = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    found = panel_errors(project, schemas)
    report.check("dashboard: panels are what the schemas of their kinds say", found, note)


def check_metrics(report: Report, project: Project, url: str) -> None:
    def load() -> dict[str, Family]:
        # The first request to a fresh gateway is in the metrics of the second.
        exposition.fetch(url)
        return exposition.parse(exposition.fetch(url))

    exposed = report.attempt("the gateway exposes metrics in Prometheus' format", load)
    if exposed is None:
        return
    families = LATER | exposed | BUILT_IN
    used: set[str] = set()
    problems = []
    expressions = project.expressions()
    expressions += [(f"alert {rule['alert']}", rule["expr"]) for rule in project.alerts]
    for where, expression in expressions:
        names = {promql.family(name, families) for name in promql.metrics(expression)}
        used |= names
        unknown = names - families.keys()
        problems += [f"{where}: no metric {name}" for name in sorted(unknown)]
        known = set().union(*(families[name].labels for name in names - unknown), TARGET_LABELS)
        if any(families[name].kind == "histogram" for name in names - unknown):
            known.add("le")
        strange = promql.labels(expression) - known
        problems += [f"{where}: no label {name}" for name in sorted(strange)]
    report.check(
        "dashboard and alerts: every metric and label is one that the gateway exposes",
        problems,
        f"{len(expressions)} expressions, {len(used)} metrics",
    )
    unseen = {name for name in exposed if name.startswith("ai_")} - used
    report.check("dashboard and alerts: every metric of the gateway's own is used", sorted(unseen))


def errors(schema: dict[str, Any], instance: Any) -> list[str]:
    found = Draft7Validator(schema).iter_errors(instance)
    return [f"{error.json_path}: {error.message[:300]}" for error in found]


def panel_errors(project: Project, schemas: Schemas) -> Iterator[str]:
    for panel in project.panels:
        options, custom = schemas.panels[panel["type"]]
        found = errors(options, panel["options"])
        if custom is not None:
            found += errors(custom, panel["fieldConfig"]["defaults"]["custom"])
        yield from (f"{panel['title']}: {error}" for error in found)


def layout(project: Project) -> Iterator[str]:
    placed = [(panel["title"], panel["gridPos"]) for panel in project.dashboard["panels"]]
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


def identities(project: Project) -> Iterator[str]:
    for key in ("id", "title"):
        counts = Counter(panel[key] for panel in project.dashboard["panels"])
        bad = [value for value, count in counts.items() if count > 1 or not value]
        yield from (f"{key} {value!r} is empty or not unique" for value in bad)


def furnishing(project: Project) -> Iterator[str]:
    for panel in project.panels:
        defaults = panel["fieldConfig"]["defaults"]
        given = {
            "description": panel.get("description"),
            "unit": defaults.get("unit"),
            "thresholds": defaults.get("thresholds", {}).get("steps"),
            "targets": panel.get("targets"),
        }
        yield from (f"{panel['title']} has no {name}" for name, value in given.items() if not value)
