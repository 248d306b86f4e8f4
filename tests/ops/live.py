"""A real Prometheus scrapes the gateway and answers every expression there is."""

import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import promql
from project import ROOT, Project
from report import Report

# In place of what Grafana fills in.
VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "15m",
    "$instance": ".*",
    "$model": ".*",
    "$target": ".*",
}
# So that what began between two of them has a rate, too.
SCRAPES = 4
READY_SECONDS = 30
SCRAPED_SECONDS = 40
RULES_SECONDS = 60
REQUEST_SECONDS = 5
STOP_SECONDS = 10


class Prometheus:
    """A server of our own, in a directory of its own; ended by `stop`."""

    def __init__(self, binary: Path, target: str, folder: Path) -> None:
        config = (ROOT / "config/prometheus.yml").read_text()
        replaced, count = re.subn(r"gateway:3000", target, config)
        if count != 1:
            raise ValueError(f"the target stands {count} times in config/prometheus.yml")
        (folder / "prometheus.yml").write_text(replaced)
        for rules in ("alerts.yml", "rules.yml"):
            shutil.copy(ROOT / "config" / rules, folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    binary,
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS)

    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"Prometheus ended: {self.log.read_text()[-800:]}")
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=REQUEST_SECONDS):
                return True
        except OSError:
            return False

    def api(self, path: str, parameters: dict[str, str] | None = None) -> Any:
        """What an endpoint answers. Raises RuntimeError with Prometheus' own words."""
        query = urllib.parse.urlencode(parameters or {})
        try:
            url = f"{self.url}/api/v1/{path}?{query}"
            with urllib.request.urlopen(url, timeout=REQUEST_SECONDS) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["error"]) from error
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        return self.api("query", {"query": expression})["result"]


def check_live(
    report: Report, project: Project, binary: Path, metrics_url: str, active: set[str]
) -> None:
    """`active`: the alerts that the load on the gateway is to set off, firing or about to."""
    with tempfile.TemporaryDirectory(prefix="tidegate-ops-") as folder:
        target = urlsplit(metrics_url).netloc
        name = "prometheus starts with config/prometheus.yml"
        server = report.attempt(name, lambda: Prometheus(binary, target, Path(folder)))
        if server is None:
            return
        try:
            if scrape(report, server) and check_evaluation(report, project, server, active):
                check_queries(report, project, server)
                check_variables(report, project, server)
        finally:
            server.stop()


def wait(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.5)
    return False


def scrape(report: Report, server: Prometheus) -> bool:
    def enough() -> bool:
        return bool(server.query(f'sum_over_time(up{{job="tidegate"}}[1m]) >= {SCRAPES}'))

    try:
        if not wait(READY_SECONDS, server.ready):
            return report.check("prometheus is ready", [f"not within {READY_SECONDS} s"])
        scraped = wait(SCRAPED_SECONDS, enough)
        targets = server.api("targets")["activeTargets"]
    except (OSError, RuntimeError) as error:
        return report.check("prometheus scrapes the gateway", [error])
    seen = [f"{t['scrapeUrl']}: {t['health']} {t['lastError']}" for t in targets]
    return report.check("prometheus scrapes the gateway", [] if scraped else seen or ["no targets"])


def substituted(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def check_evaluation(
    report: Report, project: Project, server: Prometheus, active: set[str]
) -> bool:
    """Prometheus has evaluated all rules, and what is recorded and what the load sets off is there."""

    def rules() -> list[dict[str, Any]]:
        groups = server.api("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def missing() -> list[str]:
        names = {rule["name"] for rule in rules() if rule["health"] != "unknown"}
        wanted = {rule["alert"] for rule in project.alerts} | project.recorded.keys()
        found = [f"{name} was not evaluated" for name in sorted(wanted - names)]
        found += [f"nothing under {name}" for name in project.recorded if not numbers(server, name)]
        on = {series["metric"]["alertname"] for series in server.query("ALERTS")}
        return found + [f"{name} is not active" for name in sorted(active - on)]

    try:
        wait(RULES_SECONDS, lambda: not missing())
        loaded, problems = rules(), missing()
    except (OSError, RuntimeError) as error:
        return report.check("prometheus evaluates the rules", [error])
    problems += [
        f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}"
        for rule in loaded
        if rule["health"] != "ok"
    ]
    states = [
        f"{rule['name']} {rule['state']}"
        for rule in loaded
        if rule.get("state") in ("firing", "pending")
    ]
    note = ", ".join([f"{len(loaded)} rules", *states])
    return report.check("prometheus evaluates the rules", problems, note)


def numbers(server: Prometheus, expression: str) -> list[dict[str, Any]]:
    """The series that an expression finds, without those that are no number."""
    return [series for series in server.query(expression) if series["value"][1] != "NaN"]


def check_queries(report: Report, project: Project, server: Prometheus) -> None:
    asked = [(where, substituted(expression)) for where, expression in project.queries()]
    # Whether an alert fires is the business of its tests; here, whether it looks at anything.
    asked += [(f"alert {rule['alert']}", promql.measured(rule["expr"])) for rule in project.alerts]
    for where, expression in asked:
        note, problems = "", []
        try:
            found = numbers(server, expression)
        except (OSError, RuntimeError) as error:
            problems = [expression, error]
        else:
            note = f"{len(found)} series"
            problems = [] if found else [f"no data: {expression}"]
        report.check(f"query: {where}", problems, note)


def check_variables(report: Report, project: Project, server: Prometheus) -> None:
    asked = [
        (f"{dashboard.name}: {variable['name']}", variable["query"]["query"])
        for dashboard in project.dashboards
        for variable in dashboard.variables
        if variable["type"] == "query"
    ]
    for where, query in asked:
        values, problems = [], []
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        if match is None:
            problems = [f"not label_values(metric, label): {query}"]
        else:
            try:
                series = {"match[]": substituted(match[1])}
                values = server.api(f"label/{match[2]}/values", series)
                problems = [] if values else [f"no values: {query}"]
            except (OSError, RuntimeError) as error:
                problems = [error]
        report.check(f"variable: {where}", problems, ", ".join(values))
