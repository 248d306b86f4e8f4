"""JSON schemas of dashboards and panels, made of the types that Grafana publishes to npm.

The packages and the schemas are kept in the cache directory, under the versions that
schema/package.json names.
"""

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent / "schema" / "package.json"
TYPES = "./node_modules/@grafana/schema/dist/types/raw"
GENERATOR = "node_modules/ts-json-schema-generator/bin/ts-json-schema-generator.js"
INSTALL_SECONDS = 180
GENERATE_SECONDS = 60
# Kinds of panels: the package's name, and whether it describes custom field options.
KINDS = {
    "stat": ("stat", False),
    "timeseries": ("timeseries", True),
    "state-timeline": ("statetimeline", True),
    "table": ("table", True),
}


@dataclass
class Schemas:
    dashboard: dict[str, Any]
    # Of `options`, and of `fieldConfig.defaults.custom`.
    panels: dict[str, tuple[dict[str, Any], dict[str, Any] | None]]


def default_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "tidegate-ops"


def load(cache: Path) -> Schemas:
    """The schemas, made if need be.

    Raises RuntimeError if npm is missing, cannot install or takes too long.
    """
    version = hashlib.sha256(PACKAGE.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]
    folder = cache / version
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _make(folder)
        (folder / "done").touch()
    panels = {}
    for kind, (name, has_custom) in KINDS.items():
        custom = _read(folder, f"{name}-custom") if has_custom else None
        panels[kind] = (_read(folder, f"{name}-options"), custom)
    return Schemas(_read(folder, "dashboard"), panels)


def _make(folder: Path) -> None:
    shutil.copy(PACKAGE, folder)
    npm = ["npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"]
    _run(npm, folder, INSTALL_SECONDS)
    _generate(folder, "dashboard", "dashboard/x/types.gen", "Dashboard")
    for name, has_custom in KINDS.values():
        module = f"composable/{name}/panelcfg/x/types.gen"
        _generate(folder, f"{name}-options", module, "Options")
        if has_custom:
            _generate(folder, f"{name}-custom", module, "FieldConfig")


def _generate(folder: Path, name: str, module: str, type_name: str) -> None:
    # A type under a name of its own: the generator stumbles over names that several files use.
    source = (
        f"import type {{ {type_name} as Original }} from '{TYPES}/{module}';\n"
        f"export interface TidegateRoot extends Original {{}}\n"
    )
    (folder / f"{name}.ts").write_text(source)
    command = ["node", GENERATOR, "--path", f"{name}.ts", "--type", "TidegateRoot"]
    _run([*command, "--no-type-check", "--out", f"{name}.json"], folder, GENERATE_SECONDS)


def _run(command: list[str], folder: Path, seconds: int) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")


def _read(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text())
