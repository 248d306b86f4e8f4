"""The files under test, loaded once."""

import json
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = ROOT / "grafana/dashboards"


@dataclass
class Dashboard:
    # Of its file, without the ending.
    name: str
    document: dict[str, Any]

    @property
    def panels(self) -> list[dict[str, Any]]:
        """All but the rows' headings."""
        return [panel for panel in self.document["panels"] if panel["type"] != "row"]

    @property
    def variables(self) -> list[dict[str, Any]]:
        return self.document["templating"]["list"]

    def expressions(self) -> list[tuple[str, str]]:
        """Every query, with where it stands."""
        return [
            (f"{self.name}: {panel['title']} {target['refId']}", target["expr"])
            for panel in self.panels
            for target in panel["targets"]
        ]


class Project:
    """Raises what loading raises: a file that does not parse fails the check that needs it."""

    @cached_property
    def compose(self) -> dict[str, Any]:
        return self._yaml("compose.yaml")

    @property
    def services(self) -> dict[str, Any]:
        return self.compose["services"]

    @cached_property
    def prometheus(self) -> dict[str, Any]:
        return self._yaml("config/prometheus.yml")

    @cached_property
    def alerts(self) -> list[dict[str, Any]]:
        return self._rules("config/alerts.yml")

    @cached_property
    def recorded(self) -> dict[str, str]:
        """The expressions that are recorded, by the names they are recorded under."""
        return {rule["record"]: rule["expr"] for rule in self._rules("config/rules.yml")}

    @cached_property
    def datasources(self) -> list[dict[str, Any]]:
        return self._provisioned("datasources", "datasources")

    @cached_property
    def providers(self) -> list[dict[str, Any]]:
        return self._provisioned("dashboards", "providers")

    @cached_property
    def dashboards(self) -> list[Dashboard]:
        files = sorted(DASHBOARDS.glob("*.json"))
        found = [Dashboard(file.stem, json.loads(file.read_text())) for file in files]
        if not found:
            raise FileNotFoundError(f"no dashboards in {DASHBOARDS}")
        return found

    @cached_property
    def example_config(self) -> dict[str, Any]:
        return tomllib.loads((ROOT / "config/tidegate.example.toml").read_text())

    @cached_property
    def dockerfile(self) -> list[str]:
        """Its instructions, continued lines joined."""
        text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    def queries(self) -> list[tuple[str, str]]:
        """Every query of the dashboards, with where it stands."""
        return [query for dashboard in self.dashboards for query in dashboard.expressions()]

    def expressions(self) -> list[tuple[str, str]]:
        """All there are: of panels, alerts and what is recorded."""
        alerts = [(f"alert {rule['alert']}", rule["expr"]) for rule in self.alerts]
        recorded = [(f"recorded {name}", expr) for name, expr in self.recorded.items()]
        return self.queries() + alerts + recorded

    def _yaml(self, path: str) -> Any:
        return yaml.safe_load((ROOT / path).read_text())

    def _rules(self, path: str) -> list[dict[str, Any]]:
        return [rule for group in self._yaml(path)["groups"] for rule in group["rules"]]

    def _provisioned(self, folder: str, key: str) -> list[dict[str, Any]]:
        files = sorted((ROOT / "grafana/provisioning" / folder).glob("*.yaml"))
        loaded = [yaml.safe_load(file.read_text()) for file in files]
        return [entry for file in loaded for entry in file[key]]
