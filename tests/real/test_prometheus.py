"""Compose, Prometheus' and Grafana's files fit together. A real Prometheus scrapes a gateway under mixed load:
every expression of dashboards, alerts and recorded rules finds data, and the alerts that the load calls for
are set off."""

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

import mixed
from processes import HERE, Gateway, Llama, free_port
from scripted import Upstream

CHECK = HERE.parent / "ops" / "check.py"
# What the load sets off, firing or about to.
ACTIVE = [
    "TidegateAnswersTruncated",
    "TidegateModelFailing",
    "TidegateModelOut",
    "TidegatePermitsExhausted",
    "TidegateQueueStuck",
    "TidegateRequestsRefused",
    "TidegateStreamsFailing",
    "TidegateTargetOut",
    "TidegateUpstreamDown",
]


def check(*arguments: str, seconds: float) -> None:
    done = subprocess.run(
        [sys.executable, CHECK, *arguments], capture_output=True, text=True, timeout=seconds
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


# npm and the schema's generator take their time, once.
@pytest.mark.timeout(420)
def test_files_fit_together():
    if not shutil.which("npm"):
        pytest.skip("not run: Grafana's schema is made by npm")
    where = ["--cache-dir", str(pathlib.Path(os.environ["REAL_PARTS"], "grafana"))]
    if prometheus := os.environ.get("PROMETHEUS_BIN"):
        where += ["--prometheus", prometheus]
    check(*where, seconds=400)


@pytest.mark.timeout(240)
def test_expressions_find_data(llama: Llama, start_gateway: Callable[..., Gateway]):
    prometheus = os.environ.get("PROMETHEUS_BIN")
    if not prometheus:
        pytest.skip("not run: PROMETHEUS_BIN is not set")
    with Upstream(mixed.script) as scripted:
        gateway = start_gateway(mixed.config(llama, scripted, free_port()))
        where = ["--metrics-url", f"{gateway.url}/metrics", "--prometheus", prometheus]
        with mixed.load(gateway):
            check(*where, "--active", ",".join(ACTIVE), seconds=200)
