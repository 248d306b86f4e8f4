"""A real Prometheus scrapes the gateway and answers every query of the dashboard."""

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

from project import ROOT, Project
from report import Report

# Parts of queries that legitimately find nothing, and why.
MAY_BE_EMPTY = {
    "ai_gateway_upstream_failures_total": "there is no series until an upstream fails",
    "ai_gateway_rejected_requests_total": "there is no series until a request is refused",
}
# In place of what Grafana fills in.
VARIABLES = {"$__rate_interval": "1m", "$__interval": "15s", "$__range": "15m", "$model": ".*"}
SCRAPES = 3
READY_SECONDS = 30
SCRAPED_SECONDS = 40
RULES_SECONDS = 40
REQUEST_SECONDS = 5
STOP_SECONDS = 10
PROMTOOL_SECONDS = 60


class Prometheus:
    """A server of our own, in a directory of its own; ended by `stop`."""

    def __init__(self, binary: Path, target: str, folder: Path) -> None:
        config = (ROOT / "config/prometheus.yml").read_text()
        replaced, count = re.subn(r"gateway:3000", target, config)
        if count != 1:
            raise ValueError(f"the target stands {count} times in config/prometheus.yml")
        (folder / "prometheus.yml").write_text(replaced)
        shutil.copy(ROOT / "config/alerts.yml", folder)
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


def check_live(report: Report, project: Project, binary: Path, metrics_url: str) -> None:
    check_alert_tests(report, binary)
    with tempfile.TemporaryDirectory(prefix="tidegate-ops-") as folder:
        target = urlsplit(metrics_url).netloc
        name = "prometheus starts with config/prometheus.yml"
        server = report.attempt(name, lambda: Prometheus(binary, target, Path(folder)))
        if server is None:
            return
        try:
            if scrape(report, server):
                check_queries(report, project, server)
                check_variables(report, project, server)
                check_rules(report, project, server)
        finally:
            server.stop()


def check_alert_tests(report: Report, binary: Path) -> None:
    """The alerts fire when they should, by promtool's own simulation."""
    promtool = binary.with_name("promtool")
    if not promtool.exists():
        return
    command = [promtool, "test", "rules", Path(__file__).parent / "alerts_test.yml"]

    def run() -> None:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROMTOOL_SECONDS, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{done.stdout}{done.stderr}".strip())

    report.attempt("alerts fire when they should, and only then", run)


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


def check_queries(report: Report, project: Project, server: Prometheus) -> None:
    for where, expression in project.expressions():
        note, problems = "", []
        try:
            result = server.query(substituted(expression))
        except (OSError, RuntimeError) as error:
            problems = [expression, error]
        else:
            reasons = [why for metric, why in MAY_BE_EMPTY.items() if metric in expression]
            if not result and reasons:
                note = f"empty: {reasons[0]}"
            elif not result:
                problems = [f"no data: {expression}"]
            elif all(sample["value"][1] == "NaN" for sample in result):
                note = f"{len(result)} series, idle"
            else:
                note = f"{len(result)} series"
        report.check(f"query: {where}", problems, note)


def check_variables(report: Report, project: Project, server: Prometheus) -> None:
    for variable in project.dashboard["templating"]["list"]:
        values, problems = [], []
        query = variable["query"]["query"]
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        if match is None:
            problems = [f"not label_values(metric, label): {query}"]
        else:
            try:
                values = server.api(f"label/{match[2]}/values", {"match[]": match[1]})
                problems = [] if values else [f"no values: {query}"]
            except (OSError, RuntimeError) as error:
                problems = [error]
        report.check(f"variable: {variable['name']}", problems, ", ".join(values))


def check_rules(report: Report, project: Project, server: Prometheus) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = server.api("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    try:
        wait(RULES_SECONDS, lambda: all(rule["health"] != "unknown" for rule in rules()))
        loaded = rules()
    except (OSError, RuntimeError) as error:
        report.check("prometheus evaluates the alerts", [error])
        return
    problems = [
        f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}"
        for rule in loaded
        if rule["health"] != "ok"
    ]
    missing = {rule["alert"] for rule in project.alerts} - {rule["name"] for rule in loaded}
    problems += [f"{name} was not loaded" for name in sorted(missing)]
    firing = [rule["name"] for rule in loaded if rule.get("state") == "firing"]
    note = f"{len(loaded)} rules" + (f", firing: {', '.join(firing)}" if firing else "")
    report.check("prometheus evaluates the alerts", problems, note)
