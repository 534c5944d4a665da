"""The image and what `config/compose.yml` puts together, as far as it can be said without an engine to run them.

The files are read, and the commands that they hold are run here: to make the role, migrate, grant, and ask for health.
"""

import ast
import base64
import hashlib
import hmac
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg2.extensions import make_dsn, parse_dsn

from orderstream.configuration import load
from orderstream.settings import Settings
from tests.clients.programs import program
from tests.postgres.servers import TestServer
from tests.services import START_PATIENCE_S, ServiceProcess
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
COMPOSE: dict[str, Any] = yaml.safe_load((CONFIG / "compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PASSWORDS = {"OWNER_PASSWORD": "an owner's", "SERVICE_PASSWORD": "a service's", "JWT_SECRET": "s" * 32}
OURS = ("orderstream-1", "orderstream-2")


def settled(environment: dict[str, str]) -> dict[str, str]:
    """With the variables put in."""
    return {
        name: re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: PASSWORDS[found[1]], value)
        for name, value in environment.items()
    }


@pytest.mark.parametrize("name", SERVICES)
def test_image_is_of_one_version(name: str) -> None:
    """A major one at least, or built from here."""
    service = SERVICES[name]
    assert "build" in service or re.search(r":v?\d+(\.\d+)*$", service["image"]), service["image"]


@pytest.mark.parametrize("name", SERVICES)
def test_mounted_files_are_in_the_repository(name: str) -> None:
    """An engine would make a folder of each that is missing; and all are read-only."""
    mounts = [volume.split(":") for volume in SERVICES[name].get("volumes", []) if volume.startswith(".")]
    assert all((CONFIG / source).exists() for source, *_ in mounts), mounts
    assert all(mode == ["ro"] for _, _, *mode in mounts), mounts


def test_only_nginx_is_open_to_everybody() -> None:
    """Neither the admin port nor Postgres; what operators look at is on loopback."""
    published = {name: port for name, service in SERVICES.items() for port in service.get("ports", [])}
    assert {name for name, port in published.items() if not port.startswith("127.0.0.1:")} == {"nginx"}
    assert published.keys() == {"nginx", "prometheus", "grafana"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_waits_for_what_it_needs(name: str) -> None:
    """For services that there are; to be healthy where they can say so, to have ended where they end."""
    needed = SERVICES[name].get("depends_on", {})
    assert set(needed) <= SERVICES.keys()
    for other, how in needed.items() if isinstance(needed, dict) else ():
        ends = other in ("migrate", "grants")
        assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy")
        assert ends or "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("name", OURS)
def test_service_has_settings_that_are_some(name: str) -> None:
    """It believes nginx alone, and drains before it is killed."""
    settings = load(settled(SERVICES[name]["environment"]))
    settings.require_jwt_key()
    nginx = SERVICES["nginx"]["networks"]["default"]["ipv4_address"]
    assert settings.trusted_proxies == [f"{nginx}/32"]
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > Settings().drain_timeout_s
    assert SERVICES[name]["ulimits"]["nofile"] > Settings().max_connections


def test_nginx_finds_the_services_by_their_names() -> None:
    """As config/nginx.conf has them, each with an address that stays."""
    upstream = re.findall(r"^ *server (\S+):8080 ", (CONFIG / "nginx.conf").read_text(encoding="utf-8"), re.MULTILINE)
    assert tuple(upstream) == OURS
    addresses = {SERVICES[name]["networks"]["default"]["ipv4_address"] for name in (*OURS, "nginx")}
    assert len(addresses) == 3


def test_prometheus_asks_the_admin_port_of_each_service() -> None:
    """As config/prometheus.yml names them."""
    [job] = yaml.safe_load((CONFIG / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"{name}:8081" for name in OURS]}]


@pytest.fixture
def migrated(private_postgres: TestServer) -> str:
    """The dsn of the service's role, after all that the file runs before it starts a service."""
    private_postgres.execute("create role orderstream_owner superuser login")
    private_postgres.execute("create database orders owner orderstream_owner")
    admin = parse_dsn(private_postgres.dsn("orders"))
    here = {"PATH": os.environ["PATH"], "PGHOST": admin["host"], "PGPORT": admin["port"]}
    psql = program("psql")
    role = here | settled(SERVICES["postgres"]["environment"])
    subprocess.run([CONFIG / "compose-roles.sh"], env=role, check=True, capture_output=True, timeout=START_PATIENCE_S)
    owner = make_dsn(host=admin["host"], port=admin["port"], dbname="orders", user="orderstream_owner")
    command = [sys.executable, "-m", "orderstream.cli", *SERVICES["migrate"]["command"]]
    subprocess.run(
        command,
        env=here | {"ORDERSTREAM_DATABASE_URL": owner},
        check=True,
        capture_output=True,
        timeout=START_PATIENCE_S,
    )
    grants = [part.replace("/grants.sql", str(CONFIG / "grants.sql")) for part in SERVICES["grants"]["command"]]
    granting = settled(SERVICES["grants"]["environment"]) | here
    subprocess.run([psql, *grants[1:]], env=granting, check=True, capture_output=True, timeout=START_PATIENCE_S)
    return make_dsn(owner, user="orderstream_service")


def asked(command: list[str], service: ServiceProcess) -> int:
    """The exit status of a health check, of the service where it listens here."""
    assert command[:2] == ["CMD", "python"]
    rest = [part.replace("127.0.0.1:8081", f"127.0.0.1:{service.admin_port}") for part in command[2:]]
    return subprocess.run([sys.executable, *rest], capture_output=True, timeout=START_PATIENCE_S).returncode


def of_the_image() -> list[str]:
    """The image's own health check, in its exec form."""
    found = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return ["CMD", *ast.literal_eval(found[1])]


@pytest.mark.system
async def test_service_of_the_file_is_healthy_while_it_has_its_database(
    migrated: str, private_postgres: TestServer
) -> None:
    """With the rights that the file's commands leave it. Without the database nginx's service is not ready, and the
    image's is alive: to start it anew would not help."""
    ready, live = SERVICES["orderstream-1"]["healthcheck"]["test"], of_the_image()
    async with ServiceProcess(migrated) as service:
        await service.ready()
        # It takes connections before somebody numbers.
        await eventually(lambda: asked(ready, service) == 0)
        await eventually(lambda: asked(live, service) == 0)
        private_postgres.stop()
        await eventually(lambda: asked(ready, service) == 1)
        await eventually(lambda: asked(live, service) == 0)


def test_role_of_the_file_has_the_password_of_the_file(migrated: str, private_postgres: TestServer) -> None:
    """The one in the service's URL, whatever characters it has (RFC 5802 section 3)."""
    [(stored,)] = private_postgres.execute("select rolpassword from pg_authid where rolname = 'orderstream_service'")
    _, iterations, salt, _, server_key = re.split(r"[$:]", str(stored))
    url = settled(SERVICES["orderstream-1"]["environment"])["ORDERSTREAM_DATABASE_URL"]
    password = parse_dsn(url)["password"].encode()
    salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(salt), int(iterations))
    assert hmac.digest(salted, b"Server Key", "sha256") == base64.b64decode(server_key)


@pytest.mark.parametrize("instruction", ["ENTRYPOINT", "CMD"])
def test_image_starts_the_program_without_a_shell(instruction: str) -> None:
    """A shell would be the one that is told to end, and tell nobody."""
    [given] = re.findall(rf"^{instruction} (.*)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert isinstance(ast.literal_eval(given), list)


def test_image_is_not_root() -> None:
    """By number, so that an orchestrator can see it."""
    *_, last = re.findall(r"^USER (\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert int(last) > 0
