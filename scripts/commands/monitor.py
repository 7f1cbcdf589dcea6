"""monitor: what watches the Compose stack, its profile `monitoring`."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from commands.parser import ROOT, ScriptParser
from commands.stack import guarded
from compose import stack
from compose.checks import published_ports
from compose.docker import DockerCli
from compose.errors import FAILED, UNAVAILABLE, ComposeError
from console import print_error, print_status

_TEXT = """
Starts, checks and stops what watches the Compose stack: the monitor, Prometheus, Alertmanager and Grafana.

commands:
  start                  start the stack with its monitoring, and wait until all of it is well
  status                 what runs, what Prometheus reaches, and which alerts fire
  test                   try the way of an alert: Prometheus, its rules, Alertmanager; and whether Grafana answers
  logs                   what they log
  stop                   stop the monitoring alone; what it has kept stays
"""
_PROFILE = "monitoring"
_TEST_ALERT = "HandfulTest"
_SECONDS = 5.0
_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104  # To be compared with.


def monitor(parser: ScriptParser, argv: list[str]) -> int:
    """`scripts/monitor`."""
    parser.usage = f"{parser.script} [options] COMMAND"
    parser.describe(_TEXT)
    parser.add_argument("--no-build", action="store_true", help="with start: take the images as they are")
    parser.add_argument("--follow", action="store_true", help="with logs: go on until Ctrl-C")
    command, words = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else ("", argv)
    options = parser.parse_args(words)
    if command not in {"start", "status", "test", "logs", "stop"}:
        parser.error(f"there is no command {command}" if command else "name a command")
    if options.no_build and command != "start":
        parser.error("--no-build belongs to start")
    if options.follow and command != "logs":
        parser.error("--follow belongs to logs")
    docker = DockerCli(ROOT)
    if command == "start":
        return guarded(lambda: stack.up(docker, ROOT, profiles=(_PROFILE,), build=not options.no_build))
    if command == "logs":
        return guarded(lambda: logs(docker, follow=options.follow))
    actions: Mapping[str, Callable[[DockerCli], object]] = {"status": status, "test": test, "stop": stop}
    return guarded(lambda: actions[command](docker))


def logs(docker: DockerCli, *, follow: bool = False) -> int:
    """Show what the monitoring logs; the exit code is Compose's."""
    docker.require()
    words = ["--follow"] if follow else ["--tail", "200"]
    return docker.compose("--profile", _PROFILE, "logs", *words, *_services(docker.config()))


def stop(docker: DockerCli) -> None:
    """Stop the monitoring and remove its containers. Its volumes and the rest of the stack stay.

    Raises:
        ComposeError: Docker is away or refuses.
    """
    docker.require()
    if docker.compose("--profile", _PROFILE, "rm", "--stop", "--force", *_services(docker.config())):
        raise ComposeError("the monitoring could not be stopped, see above", FAILED)


def status(docker: DockerCli) -> int:
    """Say what runs, what Prometheus reaches and which alerts fire; 1 if anything is not as it should be."""
    docker.require()
    config = docker.config()
    states = {container["Service"]: _state(container) for container in docker.containers()}
    well = True
    for service in _services(config):
        well &= _say(service, states.get(service, "not started"), states.get(service) in {"healthy", "running"})
    if states.get("prometheus") != "healthy":
        return FAILED
    prometheus = Endpoint.of(config, "prometheus")
    for job, error in _targets(prometheus):
        well &= _say(f"Prometheus reaches {job}", error or "yes", not error)
    firing = [alert for alert in prometheus.get("/api/v1/alerts")["data"]["alerts"] if alert["state"] == "firing"]
    for alert in firing:
        print_status(f"fires: {alert['labels']['alertname']}: {alert['annotations'].get('description', '').strip()}")
    if not firing:
        print_status("no alert fires")
    return 0 if well else FAILED


def test(docker: DockerCli) -> int:
    """Try what an alert passes through; 1 if a part of it fails."""
    docker.require()
    config = docker.config()
    checks: Mapping[str, Callable[[], str]] = {
        "Prometheus reaches all": lambda: check_targets(Endpoint.of(config, "prometheus")),
        "Prometheus has its rules": lambda: check_rules(Endpoint.of(config, "prometheus")),
        "Prometheus has an Alertmanager": lambda: check_connection(Endpoint.of(config, "prometheus")),
        "Alertmanager takes an alert": lambda: check_delivery(Endpoint.of(config, "alertmanager")),
        "Grafana answers": lambda: check_grafana(Endpoint.of(config, "grafana")),
    }
    well = True
    for name, check in checks.items():
        try:
            said = check()
        except ComposeError as error:
            well &= _say(name, f"no, {error}: see scripts/monitor logs", well=False)
        else:
            well &= _say(name, said, well=True)
    return 0 if well else FAILED


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service of the stack, at its port on this machine."""

    url: str

    @classmethod
    def of(cls, config: dict[str, Any], service: str) -> Endpoint:
        """The service's.

        Raises:
            ComposeError: it is published nowhere.
        """
        for name, address, port in published_ports(config):
            if name == service:
                host = "127.0.0.1" if address in _ANY else f"[{address}]" if ":" in address else address
                return cls(f"http://{host}:{port}")
        raise ComposeError(f"{service} has no port on this machine", UNAVAILABLE)

    def get(self, path: str) -> Any:
        """What it answers, as JSON.

        Raises:
            ComposeError: it does not answer, or with an error, or with something else.
        """
        return self._ask(path, None)

    def post(self, path: str, body: object) -> None:
        """Send JSON.

        Raises:
            ComposeError: it does not answer, or with an error.
        """
        self._ask(path, json.dumps(body).encode())

    def _ask(self, path: str, body: bytes | None) -> Any:
        headers = {"Content-Type": "application/json"} if body else {}
        request = urllib.request.Request(self.url + path, body, headers)  # noqa: S310  # http, as above.
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                text = answer.read()
            return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            raise ComposeError(f"{self.url}{path} answers {error.code}", FAILED) from error
        except (OSError, HTTPException) as error:
            raise ComposeError(f"{self.url} does not answer ({error})", UNAVAILABLE) from error
        except ValueError as error:
            raise ComposeError(f"{self.url} is something else: {path} answers no JSON", FAILED) from error


def check_targets(prometheus: Endpoint) -> str:
    """Whether Prometheus reaches all that it shall ask.

    Raises:
        ComposeError: it does not.
    """
    targets = dict(_targets(prometheus))
    if away := [f"{job} ({error})" for job, error in targets.items() if error]:
        raise ComposeError(f"not reached: {', '.join(away)}", FAILED)
    if not targets:
        raise ComposeError("it has nothing to ask", FAILED)
    return ", ".join(targets)


def check_rules(prometheus: Endpoint) -> str:
    """Whether Prometheus evaluates its rules.

    Raises:
        ComposeError: it has none, or one is in error.
    """
    rules = [rule for group in prometheus.get("/api/v1/rules")["data"]["groups"] for rule in group["rules"]]
    if not rules:
        raise ComposeError("it has no rules", FAILED)
    if broken := [f"{rule['name']} ({rule['lastError']})" for rule in rules if rule.get("lastError")]:
        raise ComposeError(f"in error: {', '.join(broken)}", FAILED)
    return f"{len(rules)} rules"


def check_connection(prometheus: Endpoint) -> str:
    """Whether Prometheus sends its alerts to somebody.

    Raises:
        ComposeError: it does not.
    """
    managers = prometheus.get("/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    if not managers:
        raise ComposeError("it has none", FAILED)
    return str(managers[0]["url"])


def check_delivery(alertmanager: Endpoint, seconds: float = _SECONDS) -> str:
    """Whether Alertmanager takes an alert and lists it. Those who are told of alerts get it, too.

    Raises:
        ComposeError: it does not.
    """
    annotations = {"summary": "A test", "description": "scripts/monitor test sent this. It ends within a minute."}
    starts, ends = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + later)) for later in (0, 60))
    labels = {"alertname": _TEST_ALERT, "severity": "warning"}
    alert = {"labels": labels, "annotations": annotations, "startsAt": starts, "endsAt": ends}
    alertmanager.post("/api/v2/alerts", [alert])
    until = time.monotonic() + seconds
    while _TEST_ALERT not in [alert["labels"]["alertname"] for alert in alertmanager.get("/api/v2/alerts")]:
        if time.monotonic() > until:
            raise ComposeError(f"it took one and does not list it within {seconds:g} s", FAILED)
        time.sleep(0.2)
    return "and lists it"


def check_grafana(grafana: Endpoint) -> str:
    """Whether Grafana answers, and its database too.

    Raises:
        ComposeError: its database does not.
    """
    health = grafana.get("/api/health")
    if health["database"] != "ok":
        raise ComposeError(f"its database is {health['database']}", FAILED)
    return str(health.get("version", "yes"))


def _targets(prometheus: Endpoint) -> Iterator[tuple[str, str]]:
    """Each job, and why it is not reached."""
    for target in prometheus.get("/api/v1/targets")["data"]["activeTargets"]:
        well = target["health"] == "up"
        yield target["labels"]["job"], "" if well else target["lastError"] or f"it is {target['health']}"


def _services(config: dict[str, Any]) -> list[str]:
    return [name for name, words in config["services"].items() if _PROFILE in words.get("profiles", ())]


def _state(container: dict[str, Any]) -> str:
    return str(container.get("Health") or container["State"])


def _say(what: str, how: str, well: bool) -> bool:
    (print_status if well else print_error)(f"{what}: {how}")
    return well
