"""Alerts and what is recorded: each says what to do, is documented, and is tried by promtool."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from project import ROOT, Project
from report import Report

TESTS = Path(__file__).parent / "alerts"
DOCUMENT = ROOT / "docs/dashboards.md"
PROMTOOL_SECONDS = 60


def check_rules(report: Report, project: Project, prometheus: Path | None) -> None:
    report.check("alerts: each has a severity and says what to do", speechless(project))
    report.check("alerts: each has its first steps in docs/dashboards.md", undocumented(project))
    report.check("alerts: each is tried firing, and not firing", untried(project))
    promtool = prometheus and prometheus.with_name("promtool")
    if promtool is None or not promtool.exists():
        return
    files = sorted(TESTS.glob("*.yml"))
    run(
        report,
        "promtool: alerts and recorded rules are sound",
        [promtool, "check", "rules", ROOT / "config/alerts.yml", ROOT / "config/rules.yml"],
    )
    run(
        report,
        "promtool: config/prometheus.yml is sound",
        [promtool, "check", "config", ROOT / "config/prometheus.yml"],
    )
    for file in files:
        name = f"promtool: alerts fire when they should, and only then: {file.stem}"
        run(report, name, [promtool, "test", "rules", file])


def run(report: Report, name: str, command: list[Any]) -> None:
    def tried() -> bool:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROMTOOL_SECONDS, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{done.stdout}{done.stderr}".strip())
        return True

    report.attempt(name, tried)


def speechless(project: Project) -> Iterator[str]:
    for rule in project.alerts:
        if rule["labels"]["severity"] not in ("critical", "warning"):
            yield f"{rule['alert']}: severity"
        if not (rule["annotations"]["summary"] and rule["annotations"]["description"]):
            yield f"{rule['alert']}: says nothing"


def undocumented(project: Project) -> Iterator[str]:
    headings = [
        line.removeprefix("### ")
        for line in DOCUMENT.read_text().splitlines()
        if line.startswith("### Tidegate")
    ]
    names = [rule["alert"] for rule in project.alerts]
    yield from (f"{name} has none" for name in names if name not in headings)
    yield from (f"there is no {name}" for name in headings if name not in names)


def untried(project: Project) -> Iterator[str]:
    files = [yaml.safe_load(file.read_text()) for file in sorted(TESTS.glob("*.yml"))]
    tests = [test for file in files for test in file["tests"]]
    tried = [case for test in tests for case in test.get("alert_rule_test", [])]
    firing = {case["alertname"] for case in tried if case.get("exp_alerts")}
    silent = {case["alertname"] for case in tried if not case.get("exp_alerts")}
    names = {rule["alert"] for rule in project.alerts}
    yield from (f"{name} never fires" for name in sorted(names - firing))
    yield from (f"{name} is always firing" for name in sorted(names - silent))
    yield from (f"there is no {name}" for name in sorted((firing | silent) - names))
