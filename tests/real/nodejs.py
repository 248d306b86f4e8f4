"""Node.js and the packages that run.sh has installed for it."""

import os
import pathlib
import shutil
import subprocess

import pytest

NODE_PACKAGES = pathlib.Path(os.environ["REAL_PARTS"], "node")


def node() -> str:
    """The program; skips the check where there is none that will do."""
    found = shutil.which("node")
    if not found or not NODE_PACKAGES.exists():
        pytest.skip("not run: there is no Node.js with npm")
    version = subprocess.check_output([found, "--version"], text=True, timeout=30)
    if int(version.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"not run: the SDK wants Node.js 20, this is {version.strip()}")
    return found


def command(script: pathlib.Path, *arguments: str) -> list[str]:
    """Runs a script with the packages in reach: they are looked for from its place upwards."""
    program, there = node(), NODE_PACKAGES / script.name
    # A running program may just be reading it.
    if not there.exists() or there.read_bytes() != script.read_bytes():
        shutil.copy(script, there)
    return [program, str(there), *arguments]
