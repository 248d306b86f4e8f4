#!/usr/bin/env python3
"""Checks what operates Tidegate: compose.yaml, the Dockerfile, Prometheus' and Grafana's files.

    python3 tests/ops/check.py --metrics-url http://127.0.0.1:3000/metrics \\
        --prometheus /usr/bin/prometheus

The gateway at --metrics-url must have answered a chat request, or queries about HTTP requests find
nothing. With --prometheus, a real server scrapes it and answers every query of the dashboard.
Needs requirements.txt, and npm for Grafana's schema.
"""

import argparse
import signal
import sys
from pathlib import Path

import schema
from dashboard import check_dashboard, check_metrics, check_schema
from deployment import check_deployment
from live import check_live
from project import Project
from report import Report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--metrics-url", required=True, help="the gateway's /metrics")
    parser.add_argument("--prometheus", type=Path, help="Prometheus' binary, for the live checks")
    parser.add_argument("--cache-dir", type=Path, help="where npm's packages are kept")
    arguments = parser.parse_args()
    cache = arguments.cache_dir or schema.default_cache()
    # Ends what was started, as at any other end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report, project = Report(), Project()
    check_deployment(report, project)
    if check_dashboard(report, project):
        schemas = report.attempt("Grafana's schemas can be made", lambda: schema.load(cache))
        if schemas is not None:
            check_schema(report, project, schemas)
        check_metrics(report, project, arguments.metrics_url)
        if arguments.prometheus is not None:
            check_live(report, project, arguments.prometheus, arguments.metrics_url)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
