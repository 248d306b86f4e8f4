"""The OpenAPI document holds: requests made from it, fit and unfit, are answered as it says."""

import os
import pathlib
import re
import subprocess
from collections.abc import Callable

import pytest

from processes import Gateway, clean_environment

SCHEMATHESIS = pathlib.Path(os.environ["REAL_PARTS"], "openapi", "bin", "schemathesis")
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
]
# The builtin model answers everything at once but what makes vectors.
CONFIG = '[[models]]\nname = "builtin"\nprovider = "builtin"\n'


@pytest.mark.timeout(240)
def test_answers_are_as_documented(
    start_gateway: Callable[..., Gateway], tmp_path: pathlib.Path
):
    gateway = start_gateway(CONFIG, LOG_LEVEL="error")
    command = [str(SCHEMATHESIS), "run", f"{gateway.url}/openapi.json"]
    # The same requests each time; those of `coverage` are one fault each.
    command += ["--seed", "1", "--max-examples", "10", "--workers", "1"]
    command += ["--phases", "examples,coverage,fuzzing", "--checks", ",".join(CHECKS)]
    # A text for Prometheus, and a stream without an end.
    command += ["--exclude-path", "/metrics", "--exclude-path", "/api/console/events"]
    command += ["--request-timeout", "20", "--continue-on-failure", "--no-color"]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stdout[-20_000:]
    tried = re.search(r"(\d+) generated", run.stdout)
    assert tried and int(tried[1]) > 500, run.stdout[-2_000:]
