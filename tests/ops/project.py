"""The files under test, loaded once."""

import json
import re
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


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
        groups = self._yaml("config/alerts.yml")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    @cached_property
    def datasources(self) -> list[dict[str, Any]]:
        return self._provisioned("datasources", "datasources")

    @cached_property
    def providers(self) -> list[dict[str, Any]]:
        return self._provisioned("dashboards", "providers")

    @cached_property
    def dashboard(self) -> dict[str, Any]:
        return json.loads((ROOT / "grafana/dashboards/tidegate.json").read_text())

    @property
    def panels(self) -> list[dict[str, Any]]:
        """All but the rows' headings."""
        return [panel for panel in self.dashboard["panels"] if panel["type"] != "row"]

    @cached_property
    def example_config(self) -> dict[str, Any]:
        return tomllib.loads((ROOT / "config/tidegate.example.toml").read_text())

    @cached_property
    def dockerfile(self) -> list[str]:
        """Its instructions, continued lines joined."""
        text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    def expressions(self) -> list[tuple[str, str]]:
        """Every query of the dashboard, with where it stands."""
        return [
            (f"{panel['title']} {target['refId']}", target["expr"])
            for panel in self.panels
            for target in panel["targets"]
        ]

    def _yaml(self, path: str) -> Any:
        return yaml.safe_load((ROOT / path).read_text())

    def _provisioned(self, folder: str, key: str) -> list[dict[str, Any]]:
        files = sorted((ROOT / "grafana/provisioning" / folder).glob("*.yaml"))
        loaded = [yaml.safe_load(file.read_text()) for file in files]
        return [entry for file in loaded for entry in file[key]]
