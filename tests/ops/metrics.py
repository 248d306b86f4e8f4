"""Whether every expression names what the gateway exposes, and nothing that it exposes goes unused."""

import exposition
import promql
from exposition import Family
from project import Project
from report import Report

# Prometheus' own.
BUILT_IN = {
    "up": Family("gauge"),
    "ALERTS": Family("gauge", {"alertname", "alertstate", "severity", "model", "target"}),
}
# What Prometheus adds to every series that it scrapes.
TARGET_LABELS = {"job", "instance"}


def check_metrics(report: Report, project: Project, url: str) -> None:
    def load() -> dict[str, Family]:
        # The first request to a fresh gateway is in the metrics of the second.
        exposition.fetch(url)
        return exposition.parse(exposition.fetch(url))

    exposed = report.attempt("the gateway exposes metrics in Prometheus' format", load)
    if exposed is None:
        return
    # What is recorded has the labels that its name begins with.
    recorded = {
        name: Family("gauge", set(name.partition(":")[0].split("_"))) for name in project.recorded
    }
    families = exposed | recorded | BUILT_IN
    used: set[str] = set()
    problems = []
    expressions = project.expressions()
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
        "expressions: every metric and label is one that the gateway exposes",
        problems,
        f"{len(expressions)} expressions, {len(used)} metrics",
    )
    ours = {name for name in exposed if name.startswith(("ai_", "http_"))}
    report.check("expressions: every metric of the gateway's own is used", sorted(ours - used))
    report.check("expressions: all that is recorded is used", sorted(recorded.keys() - used))
