"""What leads from one dashboard to the others, to the console, and from alerts to dashboards."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dashboards import each
from project import ROOT, Dashboard, Project
from report import Report

TAG = "tidegate"
UID = "tidegate-{}"
CONSOLE = "${console:raw}/"
# Of the page at `/`: what may stand behind the #.
PAGES = re.compile(r"^\s*\['(\w+)', '\w+', \w+\],$", re.MULTILINE)
# `$name`, `${name}` and `${name:format}`, but for Grafana's own, which begin with two underscores.
VARIABLE = re.compile(r"\$\{?((?!__)[a-z]\w*)")
# The gateways that are looked at, in every query; an alert may be of all of them.
INSTANCE = re.compile(r'instance=~"\$instance\|?"')
# Recorded for all gateways together: a quantile cannot be chosen from.
OF_ALL = "model:ai_gateway_time_to_first_token_seconds:p99_5m"


def check_links(report: Report, project: Project) -> None:
    pages = set(PAGES.findall((ROOT / "console/src/main.jsx").read_text()))
    for name, problems in (
        ("links lead to dashboards and pages there are", lambda one: broken(one, project, pages)),
        ("each leads to the others, and to the console", ways_out),
        ("variables are there where they are used, and used where they are there", variables),
        ("every query heeds the gateways that are chosen", chosen),
    ):
        report.check(f"dashboards: {name}", each(project, problems))
    report.check("alerts: each leads to a dashboard", alert_links(project))


def links(value: Any) -> Iterator[str]:
    """The addresses of all links of a document, panels' and fields' included."""
    if isinstance(value, dict):
        if isinstance(value.get("url"), str) and value["url"]:
            yield value["url"]
        for inner in value.values():
            yield from links(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from links(inner)


def broken(dashboard: Dashboard, project: Project, pages: set[str]) -> Iterator[str]:
    if dashboard.document["uid"] != UID.format(dashboard.name):
        yield f"its uid is {dashboard.document['uid']}"
    for url in links(dashboard.document):
        if url.startswith(CONSOLE):
            page = url.removeprefix(CONSOLE).removeprefix("#")
            if page not in pages:
                yield f"no page {page!r} in the console: {url}"
        else:
            # Grafana's own parts stand for what they become.
            plain = re.sub(r"\$\{(\w+):queryparam\}", r"var-\1=x", url).replace(
                "${__url_time_range}", "from=x&to=x"
            )
            yield from lost(plain, project)


def lost(url: str, project: Project) -> Iterator[str]:
    """What a link to a dashboard says that is not there."""
    parts = urlsplit(url)
    known = {f"/d/{found.document['uid']}": found for found in project.dashboards}
    found = known.get(parts.path)
    if found is None:
        yield f"no dashboard at {url}"
        return
    names = {variable["name"] for variable in found.variables}
    for key, _ in parse_qsl(parts.query, strict_parsing=True):
        if key not in ("from", "to") and key.removeprefix("var-") not in names:
            yield f"{found.name} has no variable for {key}: {url}"


def ways_out(dashboard: Dashboard) -> Iterator[str]:
    document = dashboard.document
    if TAG not in document["tags"]:
        yield f"has no tag {TAG}: the others do not find it"
    by_tag = [link for link in document["links"] if link["type"] == "dashboards"]
    if not any(
        link["tags"] == [TAG] and link["keepTime"] and link["includeVars"] for link in by_tag
    ):
        yield "does not lead to the others with time and variables"
    if not any(link["url"].startswith(CONSOLE) for link in document["links"]):
        yield "does not lead to the console"


def variables(dashboard: Dashboard) -> Iterator[str]:
    defined = {variable["name"] for variable in dashboard.variables}
    texts = [expression for _, expression in dashboard.expressions()]
    texts += links(dashboard.document)
    texts += [str(variable["query"]) for variable in dashboard.variables]
    used = set().union(*(VARIABLE.findall(text) for text in texts))
    yield from (f"no variable {name}" for name in sorted(used - defined))
    yield from (f"variable {name} is not used" for name in sorted(defined - used))


def chosen(dashboard: Dashboard) -> Iterator[str]:
    for where, expression in dashboard.expressions():
        for selector in re.findall(r"\b[a-z][\w:]+(?:\{[^}]*\})", expression):
            if not INSTANCE.search(selector):
                yield f"{where}: {selector}"
        if "$instance" not in expression and expression != OF_ALL:
            yield f"{where}: {expression}"


def alert_links(project: Project) -> Iterator[str]:
    for rule in project.alerts:
        url = rule["annotations"].get("dashboard", "")
        # Templates stand for what they become.
        plain = re.sub(r"\{\{.*?\}\}", "x", url)
        yield from (f"{rule['alert']}: {problem}" for problem in lost(plain, project))
