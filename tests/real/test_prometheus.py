"""A real Prometheus scrapes the gateway; every expression of the dashboard finds data."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from processes import HERE, Gateway
from prompts import LONG, LONG_TOKENS, native

CHECK = HERE.parent / "ops" / "check.py"


@pytest.mark.timeout(240)
def test_dashboards_find_data(gateway: Gateway):
    prometheus = os.environ.get("PROMETHEUS_BIN")
    if not prometheus:
        pytest.skip("not run: PROMETHEUS_BIN is not set")
    if not shutil.which("npm"):
        pytest.skip("not run: Grafana's schema is made by npm")
    for _ in range(3):
        assert gateway.post("/api/chat", native(tokens=8, stream=False)).status == 200
    left = gateway.post("/api/chat", native(LONG, LONG_TOKENS))
    next(left.events())
    left.close()
    assert gateway.post("/api/chat", {}).status == 400
    where = ["--metrics-url", f"{gateway.url}/metrics", "--prometheus", prometheus]
    where += ["--cache-dir", str(pathlib.Path(os.environ["REAL_PARTS"], "grafana"))]
    done = subprocess.run(
        [sys.executable, CHECK, *where], capture_output=True, text=True, timeout=200
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
