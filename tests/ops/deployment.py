"""compose.yaml, Dockerfile, Prometheus' configuration and Grafana's provisioning fit together."""

import fnmatch
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from project import ROOT, Project
from report import Report

GATEWAY = "gateway"
# Above the time that streams get to end: to close connections and to stop.
DRAIN_MARGIN_SECONDS = 2


def check_deployment(report: Report, project: Project) -> None:
    loaded = (
        ("compose.yaml parses", lambda: project.services),
        ("config/prometheus.yml parses", lambda: project.prometheus),
        (
            "config/alerts.yml and config/rules.yml parse",
            lambda: (project.alerts, project.recorded),
        ),
        ("Grafana's provisioning parses", lambda: (project.datasources, project.providers)),
        ("the Dockerfile can be read", lambda: project.dockerfile),
    )
    if any([report.attempt(name, load) is None for name, load in loaded]):
        return
    for name, problems in (
        ("compose: images have fixed tags", images),
        ("compose: dependencies exist and can be met", dependencies),
        ("compose: mounted files and volumes exist", mounts),
        ("compose: ports are published on the loopback only, each once", published),
        ("compose: services run without privileges", privileges),
        ("compose: the gateway gets the model that is pulled, and time to drain", gateway),
        ("Dockerfile: copies what is there and is not ignored", copied),
        ("Dockerfile: non-root, health check, SIGTERM, the same port", image),
        ("prometheus: scrapes the gateway's service and port", scraped),
        ("prometheus: its rules are mounted beside its configuration", rules),
        ("grafana: its data source is the Prometheus service", datasource),
        ("grafana: the dashboards are where their provider looks", provider),
    ):
        report.check(name, problems(project))


def images(project: Project) -> Iterator[str]:
    for name, service in project.services.items():
        image = service.get("image", "")
        _, colon, tag = image.rpartition(":")
        if "build" not in service and (not colon or tag in ("", "latest", "main")):
            yield f"{name}: {image!r}"


def dependencies(project: Project) -> Iterator[str]:
    for name, service in project.services.items():
        for other, how in service.get("depends_on", {}).items():
            condition = how["condition"]
            target = project.services.get(other)
            if target is None:
                yield f"{name} waits for {other}, which does not exist"
            elif condition == "service_healthy" and "healthcheck" not in target:
                yield f"{name} waits for {other} to be healthy, which has no health check"
            elif condition == "service_completed_successfully" and target["restart"] != "no":
                yield f"{name} waits for {other} to end, which restarts"
    for name, service in project.services.items():
        if service["restart"] != "no" and "healthcheck" not in service:
            yield f"{name} has no health check"


def volumes(service: dict) -> Iterator[tuple[str, str]]:
    """Source and target of each mount."""
    for volume in service.get("volumes", []):
        source, target, *_ = volume.split(":")
        yield source, target


def mounts(project: Project) -> Iterator[str]:
    declared = set(project.compose.get("volumes", {}))
    used = set()
    for name, service in project.services.items():
        for source, _ in volumes(service):
            if not source.startswith("."):
                used.add(source)
            elif not (ROOT / source).exists():
                yield f"{name}: {source} does not exist"
    yield from (f"{volume} is not declared" for volume in used - declared)
    yield from (f"{volume} is not used" for volume in declared - used)


def ports(service: dict) -> list[tuple[str, int, int]]:
    """Address, published port and container port of each."""
    split = [port.split(":") for port in service.get("ports", [])]
    return [(address, int(outside), int(inside)) for address, outside, inside in split]


def published(project: Project) -> Iterator[str]:
    seen: dict[int, str] = {}
    for name, service in project.services.items():
        for address, outside, _ in ports(service):
            if address != "127.0.0.1":
                yield f"{name} publishes {outside} on {address}"
            if outside in seen:
                yield f"{name} and {seen[outside]} both publish {outside}"
            seen[outside] = name


def privileges(project: Project) -> Iterator[str]:
    for name, service in project.services.items():
        if service.get("privileged") or service.get("cap_drop") != ["ALL"]:
            yield f"{name} keeps capabilities"
        if service.get("security_opt") != ["no-new-privileges:true"]:
            yield f"{name} may gain privileges"
    service = project.services[GATEWAY]
    if service.get("read_only") is not True:
        yield "the gateway's file system can be written"
    if service.get("user", "0").split(":")[0] in ("0", "root"):
        yield "the gateway runs as root"


def seconds(duration: str) -> float:
    match = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", duration)
    if not match:
        raise ValueError(f"not a duration: {duration}")
    return 60 * int(match[1] or 0) + int(match[2] or 0)


def gateway(project: Project) -> Iterator[str]:
    service = project.services[GATEWAY]
    environment = service["environment"]
    if environment["HOST"] != "0.0.0.0":
        yield "HOST keeps the gateway inside its container"
    commands = [service.get("command", [""]) for service in project.services.values()]
    pulls = [command[1] for command in commands if command[0] == "pull"]
    if pulls != [environment["OLLAMA_MODEL"]]:
        yield f"pulled: {pulls}, served: {environment['OLLAMA_MODEL']}"
    if urlsplit(environment["OLLAMA_BASE_URL"]).hostname not in project.services:
        yield f"no service for {environment['OLLAMA_BASE_URL']}"
    if environment.get("AUTH_KEY", None) is not None:
        yield "AUTH_KEY has a value"
    grace = seconds(service["stop_grace_period"])
    drain = project.example_config["server"]["drain_grace_seconds"]
    if grace <= drain + DRAIN_MARGIN_SECONDS:
        yield f"killed after {grace} s, but draining takes up to {drain} s and a little"
    inside = {port for _, _, port in ports(service)}
    if inside != {int(environment["PORT"])}:
        yield f"listens on {environment['PORT']}, but {inside} is published"


def ignored(path: str) -> bool:
    """Whether .dockerignore leaves a path out: the last line that matches it decides."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").rstrip("/")
        if not pattern or pattern.startswith("#"):
            continue
        whole = PurePosixPath(path)
        # Ignoring a folder ignores what is in it.
        heads = [whole, *whole.parents][:-1]
        anywhere = pattern.startswith("**/")
        names = [head.name if anywhere else str(head) for head in heads]
        if any(fnmatch.fnmatch(name, pattern.removeprefix("**/")) for name in names):
            verdict = not line.startswith("!")
    return verdict


def copied(project: Project) -> Iterator[str]:
    for line in project.dockerfile:
        instruction, *words = line.split()
        if instruction != "COPY" or any(word.startswith("--from") for word in words):
            continue
        for source in words[:-1]:
            if not (ROOT / source).exists():
                yield f"{source} does not exist"
            elif ignored(source):
                yield f"{source} is left out by .dockerignore"


def image(project: Project) -> Iterator[str]:
    final: dict[str, str] = {}
    for line in project.dockerfile:
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            final = {}
        final[instruction] = rest
    service = project.services[GATEWAY]
    if final.get("USER") != service["user"]:
        yield f"USER {final.get('USER')}, but compose says {service['user']}"
    if final.get("STOPSIGNAL") != "SIGTERM":
        yield "STOPSIGNAL is not SIGTERM"
    if '"health"]' not in final.get("HEALTHCHECK", ""):
        yield "HEALTHCHECK does not ask `tidegate health`"
    if final.get("ENV") != "HOST=0.0.0.0":
        yield "HOST keeps the gateway inside its container"
    exposed = final.get("EXPOSE")
    if exposed != service["environment"]["PORT"]:
        yield f"EXPOSE {exposed}, but compose says {service['environment']['PORT']}"


def scraped(project: Project) -> Iterator[str]:
    jobs = {job["job_name"]: job for job in project.prometheus["scrape_configs"]}
    job = jobs["tidegate"]
    targets = [target for group in job["static_configs"] for target in group["targets"]]
    port = project.services[GATEWAY]["environment"]["PORT"]
    if targets != [f"{GATEWAY}:{port}"]:
        yield f"scrapes {targets}"
    if job["metrics_path"] != project.example_config["metrics"]["path"]:
        yield f"scrapes {job['metrics_path']}"
    interval = project.prometheus["global"]["scrape_interval"]
    if any(source["jsonData"]["timeInterval"] != interval for source in project.datasources):
        yield f"Grafana's timeInterval is not the scrape interval, {interval}"


def rules(project: Project) -> Iterator[str]:
    service = project.services["prometheus"]
    inside = {target: source for source, target in volumes(service)}
    config = next(
        word.partition("=")[2] for word in service["command"] if word.startswith("--config.file=")
    )
    if inside.get(config) != "./config/prometheus.yml":
        yield f"{config} is not config/prometheus.yml"
    for file in project.prometheus["rule_files"]:
        source = inside.get(str(PurePosixPath(config).parent / file))
        if source != f"./config/{file}":
            yield f"{file} is not mounted beside {config}"


def datasource(project: Project) -> Iterator[str]:
    [source] = project.datasources
    url = urlsplit(source["url"])
    service = project.services.get(url.hostname or "")
    if service is None or url.port not in {inside for _, _, inside in ports(service)}:
        yield f"no service for {source['url']}"
    named = {
        part["datasource"]["uid"]
        for dashboard in project.dashboards
        for panel in dashboard.panels
        for part in (panel, *panel["targets"])
    } | {
        variable["datasource"]["uid"]
        for dashboard in project.dashboards
        for variable in dashboard.variables
        if variable["type"] == "query"
    }
    if named != {source["uid"]}:
        yield f"the dashboards name {named}, provisioned is {source['uid']}"


def provider(project: Project) -> Iterator[str]:
    [entry] = project.providers
    service = project.services["grafana"]
    inside = {target: source for source, target in volumes(service)}
    path = entry["options"]["path"]
    if inside.get(path) != "./grafana/dashboards":
        yield f"looks in {path}, mounted are {sorted(inside)}"
    for folder in ("datasources", "dashboards"):
        if inside.get(f"/etc/grafana/provisioning/{folder}") != f"./grafana/provisioning/{folder}":
            yield f"provisioning/{folder} is not mounted"
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    if home != f"{path}/overview.json":
        yield f"the home dashboard is {home}"
