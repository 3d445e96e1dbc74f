"""The alert rules and the dashboard that are shipped: all that they ask for is there, and Prometheus takes them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.git.servers import free_port
from tests.ops.support import Clock, Web, summary
from tests.support import PROJECT, Daemon, Repo, class_page, eventually
from visionflow_daemon.ops.board import Board

MONITORING = PROJECT / "docs" / "monitoring"
ALERTS = MONITORING / "alerts.yml"
ALERTS_TEST = PROJECT / "tests" / "ops" / "alerts_test.yml"
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
METRIC = re.compile(r"\b(?:visionflow|process)_\w+")
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*", "$ontology_id": ".*"}
BAD = '```json-ld\n{"@type": "Class", oops}\n```\n'


def program(name: str) -> str:
    """Find a program of Prometheus, or skip the test."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def promtool(*arguments: str | Path, stdin: str = "") -> str:
    """Run promtool, and see that it finds nothing wrong."""
    command = [program("promtool"), *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def targets() -> list[tuple[str, str]]:
    """Give each query of the dashboard's panels as Grafana would ask it, and its legend."""
    found = [(target["expr"], target["legendFormat"]) for panel in panels() for target in panel["targets"]]
    return [(_with_values(expression), legend) for expression, legend in found]


def annotations() -> list[str]:
    return [_with_values(each["expr"]) for each in DASHBOARD["annotations"]["list"]]


def _with_values(expression: str) -> str:
    for variable, text in VARIABLES.items():
        expression = expression.replace(variable, text)
    return expression


def alerts() -> set[str]:
    return set(re.findall(r"^ +- alert: (\w+)$", ALERTS.read_text(), re.MULTILINE))


@pytest.fixture
def exposed(web: Web, board: Board, clock: Clock) -> set[str]:
    """The names of all series that the daemon exposes."""
    board.head_found("kg", "c" * 40, is_there=False)
    board.pass_done("kg", summary())
    board.next_due("kg", clock.now())
    families = text_string_to_metric_families(web.get("/metrics").body)
    return {sample.name for family in families for sample in family.samples}


def test_every_series_that_an_alert_asks_for_is_exposed(exposed: set[str]) -> None:
    asked = set(METRIC.findall(ALERTS.read_text()))
    assert len(asked) > 10
    assert asked - exposed == set()


def test_every_series_that_the_dashboard_asks_for_is_exposed(exposed: set[str]) -> None:
    asked = set(METRIC.findall(json.dumps(DASHBOARD)))
    assert len(asked) > 30
    assert asked - exposed == set()


def test_every_alert_has_its_severity_its_words_and_a_trial() -> None:
    rules = ALERTS.read_text().split("- alert: ")[1:]
    assert len(rules) == len(alerts()) > 10
    for rule in rules:
        assert re.search(r"severity: (critical|warning|info)\n", rule), rule
        assert "summary: " in rule, rule
        assert "description: " in rule, rule
    assert set(re.findall(r'alertname="(\w+)"', ALERTS_TEST.read_text())) == alerts()


def test_panels_have_ids_and_places_of_their_own_and_ask_the_chosen_data_source() -> None:
    every = DASHBOARD["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    for one, other in combinations([panel["gridPos"] for panel in every], 2):
        is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        is_below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert is_beside or is_below, (one, other)
    assert all(place["x"] + place["w"] <= 24 for place in (panel["gridPos"] for panel in every))
    assert len({(panel["title"], panel["type"]) for panel in panels()}) == len(panels())
    for asked in [*panels(), *(target for panel in panels() for target in panel["targets"])]:
        assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_every_variable_that_is_used_is_there_and_every_panel_follows_the_choice_of_instance() -> None:
    offered = {f"${variable['name']}" for variable in DASHBOARD["templating"]["list"]} | {"$__rate_interval"}
    expressions = [target["expr"] for panel in panels() for target in panel["targets"]]
    assert {name for expression in expressions for name in re.findall(r"\$\w+", expression)} <= offered
    assert all("$instance" in expression for expression in expressions)


def test_prometheus_takes_the_rules_and_each_fires_when_it_is_to() -> None:
    told = promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS)
    assert f"{len(alerts())} rules found" in told
    assert "SUCCESS" in promtool("test", "rules", ALERTS_TEST)


def test_prometheus_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = [*(expression for expression, _ in targets()), *annotations()]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    path = tmp_path / "queries.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(queries)} rules found" in promtool("check", "rules", path)


def test_prometheus_finds_nothing_odd_in_the_metrics(web: Web, exposed: set[str]) -> None:
    assert "visionflow_lag_seconds" in exposed
    assert not promtool("check", "metrics", stdin=web.get("/metrics").body).strip()


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - whatever it answers
        """Give the data of an answer; nothing while it does not answer."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/{path}?{query}", timeout=10) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def series(self, expression: str) -> list[dict[str, str]]:
        """Give the labels of each series that an expression yields now."""
        found = self.ask("query", query=expression)
        return [each["metric"] for each in found["result"]] if found else []


@contextmanager
def prometheus(folder: Path, watched: int) -> Iterator[Prometheus]:
    """Run a Prometheus that asks a daemon four times a second, with the shipped rules."""
    scrape = {"job_name": "visionflow-daemon", "static_configs": [{"targets": [f"127.0.0.1:{watched}"]}]}
    every = {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms"}
    config = folder / "prometheus.yml"
    config.write_text(json.dumps({"global": every, "rule_files": [str(ALERTS)], "scrape_configs": [scrape]}))
    port = free_port()
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(20)


def test_a_prometheus_that_asks_the_daemon_can_draw_every_panel_and_evaluate_every_rule(
    repo: Repo, daemon: Daemon, tmp_path: Path
) -> None:
    program("prometheus")
    repo.commit({"a.md": class_page("urn:t:a", "A"), "bad.md": BAD})
    port = free_port()
    config = daemon.folder / "config.toml"
    config.write_text(f'database = "kg.db"\n[[sources]]\nlocation = "file://{repo.path}"\n[daemon]\ninterval = 0.5\n')
    daemon.environment["VISIONFLOW_HTTP__PORT"] = str(port)
    with daemon.running("--config", config) as running, prometheus(tmp_path, port) as server:
        running.until("pass finished")
        for expression, legend in targets():
            if "pass_planned_files" in expression:  # while a pass is under way, alone
                continue
            eventually(lambda query=expression: bool(server.series(query)), timeout=30)
            wanted = set(re.findall(r"{{(\w+)}}", legend))
            assert all(wanted <= labels.keys() for labels in server.series(expression)), (expression, legend)
        assert server.series('visionflow_files_total{outcome="failed"} == 1')
        groups = server.ask("rules")["groups"]
        health = {rule["name"]: (rule["health"], rule.get("lastError")) for rule in groups[0]["rules"]}
        assert health == dict.fromkeys(alerts(), ("ok", None))
        assert running.end() == 0
