#!/usr/bin/env python3
"""Checks what operates Tidegate: compose.yaml, the Dockerfile, Prometheus' and Grafana's files.

    python3 tests/ops/check.py --prometheus /usr/bin/prometheus
    python3 tests/ops/check.py --prometheus /usr/bin/prometheus \\
        --metrics-url http://127.0.0.1:3000/metrics

Without --metrics-url, the files: whether they fit together, by Grafana's schema and promtool, which lies beside
Prometheus. With it, the gateway there: a real Prometheus scrapes it and answers every expression there is,
all of which must find something. So it must be under load meanwhile, of which some fails, waits and is refused;
tests/real/test_prometheus.py sees to that. Needs requirements.txt, and npm for Grafana's schema.
"""

import argparse
import signal
import sys
from pathlib import Path

import schema
from dashboards import check_dashboards, check_schema
from deployment import check_deployment
from links import check_links
from live import check_live
from metrics import check_metrics
from project import Project
from report import Report
from rules import check_rules


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--metrics-url", help="the /metrics of a gateway under load")
    parser.add_argument("--prometheus", type=Path, help="Prometheus' binary")
    parser.add_argument("--active", default="", help="alerts that the load sets off, with commas")
    parser.add_argument("--cache-dir", type=Path, help="where npm's packages are kept")
    arguments = parser.parse_args()
    # Ends what was started, as at any other end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report, project = Report(), Project()
    if arguments.metrics_url is None:
        check_files(report, project, arguments)
    elif check_dashboards(report, project):
        check_metrics(report, project, arguments.metrics_url)
        if arguments.prometheus is not None:
            active = set(filter(None, arguments.active.split(",")))
            check_live(report, project, arguments.prometheus, arguments.metrics_url, active)
    return report.close()


def check_files(report: Report, project: Project, arguments: argparse.Namespace) -> None:
    check_deployment(report, project)
    if not check_dashboards(report, project):
        return
    cache = arguments.cache_dir or schema.default_cache()
    schemas = report.attempt("Grafana's schemas can be made", lambda: schema.load(cache))
    if schemas is not None:
        check_schema(report, project, schemas)
    check_links(report, project)
    check_rules(report, project, arguments.prometheus)


if __name__ == "__main__":
    sys.exit(main())
