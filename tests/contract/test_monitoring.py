"""Rules, panels, pages and scrape configuration name only what is there, and everything that is there is watched."""

import importlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from salur.stack.home import Home
from salur.stack.programs import STOP_KAFKA, STOP_SERVICES, STOP_SIMULATORS
from salur.stack.scraping import targets
from salur.stack.state import Record, State
from salur.stack.status import NotUp
from services.monitor.rulebook import rulebook
from shared.events.topics import OWNERS
from shared.runtime.http import create_app
from tests.contract import compose
from tests.contract.promql import named

ROOT = Path(__file__).parents[2]
PROMETHEUS, GRAFANA = ROOT / "deploy/prometheus", ROOT / "deploy/grafana"
RUNBOOKS = ROOT / "docs/runbooks"
MODULES = ("shared.telemetry.metrics", "simulators.serving", *(f"services.{stage}.metrics" for stage in OWNERS))
TARGET_LABELS = frozenset({"job", "instance", "process", "le"})
NOT_SCRAPED = {
    "kafka": "has no such endpoint without an exporter; what it does to the flow is seen in the services",
    "postgres": "the same",
    "console": "only looks",
    "keys": "runs once and ends",
    "salur": "is a command",
}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


GROUPS = [group for path in sorted(PROMETHEUS.glob("rules/*.yml")) for group in load(path)["groups"]]
RULES = [rule for group in GROUPS for rule in group["rules"]]
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
TESTS = [test for path in sorted(PROMETHEUS.glob("tests/*.yml")) for test in load(path)["tests"]]
DASHBOARD = json.loads((GRAFANA / "dashboards/salur.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = {
    **RECORDED,
    **{name: rule["expr"] for name, rule in ALERTS.items()},
    **{
        f"{panel['id']} {panel['title']} {target['refId']}": target["expr"]
        for panel in PANELS
        for target in panel["targets"]
    },
}


def ours() -> dict[str, tuple[str, MetricWrapperBase]]:
    """Metric → the module that makes it."""
    found = {}
    for module in MODULES:
        try:
            held = vars(importlib.import_module(module))
        except ModuleNotFoundError:
            continue  # this service counts nothing but what every process does
        inner = [part for value in held.values() for part in (value, *getattr(value, "__dict__", {}).values())]
        for metric in inner:
            if isinstance(metric, MetricWrapperBase):
                found[metric.describe()[0].name] = (module, metric)
    return found


OURS = ours()
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def exposed() -> dict[str, frozenset[str]]:
    """Every name that a process shows at /metrics, with its labels."""
    names = {
        described.name + suffix: frozenset(metric._labelnames)
        for _, metric in OURS.values()
        for described in metric.describe()
        for suffix in _SUFFIXES[described.type]
    }
    of_the_process = {sample.name for family in REGISTRY.collect() for sample in family.samples} - names.keys()
    return names | dict.fromkeys((*of_the_process, "up"), frozenset())


EXPOSED = exposed()
KNOWN = EXPOSED | {name: frozenset(name.partition(":")[0].split("_")) for name in RECORDED}


@pytest.mark.parametrize(
    ("expression", "metrics", "grouped"),
    [
        ("up == 0", {"up"}, set()),
        ('sum by (a, b) (rate(x_total{c="d{e}", f=~"g|h"}[5m])) / (y > 20)', {"x_total", "y"}, {"a", "b"}),
        ("histogram_quantile(0.95, sum by (le) (rate(x_bucket[5m])))", {"x_bucket"}, {"le"}),
        ("a:b:c and on (d) group_left (e) f offset 5m unless Inf", {"a:b:c", "f"}, {"d", "e"}),
        ("sum(x) without (y)", {"x"}, {"y"}),
        ("max without (y) (x)", {"x"}, {"y"}),
        ("1e6 * x # y", {"x"}, set()),
    ],
)
def test_the_reader_of_expressions_finds_what_they_name(expression: str, metrics: set[str], grouped: set[str]) -> None:
    found = named(expression)
    assert (found.metrics, found.grouped) == (metrics, grouped)


def test_the_reader_of_expressions_finds_matched_labels_and_refuses_what_it_does_not_know() -> None:
    assert named('x{a="b", c!~"d"}').selectors == (("x", frozenset({"a", "c"})),)
    for wrong in ('{a="b"}', "x @ $y", 'x{a="b"'):
        with pytest.raises(ValueError, match=r"selector|PromQL|without"):
            named(wrong)


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_metrics_and_labels_in_rules_and_panels_exist(where: str) -> None:
    found = named(EXPRESSIONS[where])
    assert found.metrics
    assert found.metrics - KNOWN.keys() == set()
    labels: set[str] = set(TARGET_LABELS)
    for metric, matched in found.selectors:
        assert matched - KNOWN[metric] - TARGET_LABELS == set(), metric
        labels |= KNOWN[metric]
    assert found.grouped - labels == set()


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_name_begins_with_the_labels_that_are_left_and_is_used(name: str) -> None:
    assert set(name.partition(":")[0].split("_")) == named(RECORDED[name]).grouped - {"le"}
    users = [expr for where, expr in EXPRESSIONS.items() if where != name]
    assert any(name in named(expr).metrics for expr in users)


def test_labels_that_texts_name_are_left_in_the_expression() -> None:
    for name, rule in ALERTS.items():
        texts = " ".join(rule["annotations"].values())
        labels = {label for metric in named(rule["expr"]).metrics for label in KNOWN[metric]} | TARGET_LABELS
        assert set(re.findall(r"\$labels\.(\w+)", texts)) - labels == set(), name
    for panel in PANELS:
        for target in panel["targets"]:
            found = named(target["expr"])
            left = found.grouped or {label for metric in found.metrics for label in KNOWN[metric]} | TARGET_LABELS
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= left, panel["title"]


@pytest.mark.parametrize("name", OURS)
def test_every_metric_is_set_by_somebody_and_named_as_prometheus_advises(name: str) -> None:
    module, metric = OURS[name]
    assert re.fullmatch(r"(salur|simulator)_[a-z_]+", name)
    assert metric.describe()[0].documentation
    assert {"recipient", "recipient_id", "source", "reference", "village", "cycle"} & set(metric._labelnames) == set()
    home = ROOT / Path(*module.split("."))
    held = vars(importlib.import_module(module)).items()
    names = [key for key, value in held if value is metric or metric in getattr(value, "__dict__", {}).values()]
    assert names
    own = home.with_suffix(".py").read_text()
    others = " ".join(p.read_text() for p in _near(home) if p != home.with_suffix(".py"))
    for variable in names:
        assert re.search(rf"\b{variable}\b", others) or len(re.findall(rf"\b{variable}\b", own)) > 1, variable


def _near(home: Path) -> list[Path]:
    everywhere = home.parts[-3:-1] == ("shared", "telemetry")
    folders = [ROOT / name for name in ("shared", "services", "salur")] if everywhere else [home.parent]
    return [path for folder in folders for path in folder.rglob("*.py")]


def test_every_alert_says_what_how_bad_and_where_to_read_on() -> None:
    pages = {f"docs/runbooks/{path.name}" for path in RUNBOOKS.glob("*.md")}
    by_monitor = {rule.runbook: rule.level for rule in rulebook()}
    assert {rule["annotations"]["runbook_url"] for rule in ALERTS.values()} | by_monitor.keys() == pages
    for url, level in by_monitor.items():
        page = (ROOT / url).read_text(encoding="utf-8")
        title = "".join(word.capitalize() for word in Path(url).stem.split("-"))
        assert page.startswith(f"# {title}\n\n*{level}*: ") or title in ALERTS, url
        assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["What it means", "Look", "Do", "Call"], url
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), name
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, name
        page = (ROOT / rule["annotations"]["runbook_url"]).read_text(encoding="utf-8")
        assert page.startswith(f"# {name}\n\n*{rule['labels']['severity']}*: ")
        assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["What it means", "Look", "Do", "Call"]
        assert Path(rule["annotations"]["runbook_url"]).stem == re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def test_every_rule_has_a_test_that_sees_it_fire_and_one_that_does_not() -> None:
    fires, stays = set(), set()
    for one in (check for test in TESTS for check in test.get("alert_rule_test", ())):
        (fires if one["exp_alerts"] else stays).add(one["alertname"])
    assert fires == stays == set(ALERTS)
    expressions = [one["expr"] for test in TESTS for one in test.get("promql_expr_test", ())]
    assert {name for expression in expressions for name in named(expression).metrics} == set(RECORDED)


def test_every_process_of_the_compose_file_is_scraped() -> None:
    scraped: dict[str, int] = {}
    for job in load(PROMETHEUS / "prometheus.yml")["scrape_configs"]:
        for names in job.get("dns_sd_configs", ()):
            scraped |= dict.fromkeys(names["names"], names["port"])
        for static in job.get("static_configs", ()):
            (address,) = static["targets"]
            scraped[static["labels"]["process"]] = int(address.rpartition(":")[2])
    services = compose.services()
    assert set(scraped) == set(services) - set(NOT_SCRAPED)
    for name, port in scraped.items():
        asked = re.search(r"http://127\.0\.0\.1:(\d+)/", " ".join(services[name]["healthcheck"]["test"]))
        assert asked, name
        assert int(asked[1]) == port, name
    watched = set(re.findall(r'absent\(up{process="(\w+)"}\)', ALERTS["ProcessDown"]["expr"]))
    assert watched == set(OWNERS)


def test_every_service_serves_metrics() -> None:
    for stage in OWNERS:
        assert "/metrics" in {getattr(route, "path", "") for route in create_app(stage, list, ()).routes}


def test_the_containers_read_the_files_that_are_tested() -> None:
    services = compose.services()
    assert compose.mounts(services["prometheus"])["/etc/prometheus"] == ("./deploy/prometheus", False)
    assert "--config.file=/etc/prometheus/prometheus.yml" in services["prometheus"]["command"]
    mounts = compose.mounts(services["grafana"])
    assert mounts["/etc/grafana/provisioning"] == ("./deploy/grafana/provisioning", False)
    (provider,) = load(GRAFANA / "provisioning/dashboards/salur.yml")["providers"]
    assert mounts[provider["options"]["path"]] == ("./deploy/grafana/dashboards", False)
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/salur.json"
    (source,) = load(GRAFANA / "provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert {panel["datasource"]["uid"] for panel in PANELS} == {source["uid"]}
    assert {services[name]["profiles"][0] for name in ("prometheus", "grafana")} == {"monitoring"}


def test_panels_have_a_place_a_title_and_a_unit() -> None:
    every = DASHBOARD["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in every)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells), "two panels overlap"
    assert max(x for x, _ in cells) < 24
    rows = [panel["title"] for panel in every if panel["type"] == "row"]
    assert rows == ["Flow", "Money", "Messages", "Runtime"]
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_the_reference_lists_every_metric_with_its_labels() -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    listed = {
        name: set(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(r"^\| `((?:salur|simulator)_\w+)` \| (.*?) \|", page, re.MULTILINE)
    }
    suffix = {"counter": "_total", "gauge": "", "histogram": ""}
    in_code = {
        described.name + suffix[described.type]: set(metric._labelnames)
        for _, metric in OURS.values()
        for described in metric.describe()
    }
    assert listed == in_code
    for name in RECORDED:
        assert f"`{name}`" in page


def test_targets_of_a_running_stack(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    with pytest.raises(NotUp):
        targets(home)
    State(
        processes=[
            Record(name="kafka", instance=0, port=1, stop_rank=STOP_KAFKA),
            Record(name="payout", instance=1, port=4, stop_rank=STOP_SERVICES),
            Record(name="payout", instance=0, port=3, stop_rank=STOP_SERVICES),
            Record(name="bank", instance=0, port=2, stop_rank=STOP_SIMULATORS),
        ]
    ).save(home.state)
    assert targets(home) == [
        {"targets": ["127.0.0.1:2"], "labels": {"job": "simulators", "process": "bank"}},
        {"targets": ["127.0.0.1:3"], "labels": {"job": "salur", "process": "payout"}},
        {"targets": ["127.0.0.1:4"], "labels": {"job": "salur", "process": "payout"}},
    ]


PROMTOOL = os.environ.get("SALUR_PROMTOOL") or shutil.which("promtool")
with_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool on PATH or in SALUR_PROMTOOL: docs/how-to/watch-with-prometheus.md"
)


@with_promtool
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", *sorted(f"rules/{path.name}" for path in PROMETHEUS.glob("rules/*.yml"))),
        ("test", "rules", *sorted(f"tests/{path.name}" for path in PROMETHEUS.glob("tests/*.yml"))),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True, cwd=PROMETHEUS)
    assert done.returncode == 0, done.stdout + done.stderr


@with_promtool
def test_promtool_agrees_with_the_configuration_beside_salur_up(tmp_path: Path) -> None:
    shutil.copytree(PROMETHEUS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "targets.json").write_text("[]")
    done = subprocess.run([str(PROMTOOL), "check", "config", "local.yml"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
