"""The command: what it prints, for people and for programs, and its exit status."""

import io
import json
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from rich.console import Console

from orderstream.doctor.findings import Finding, Verdict, report
from orderstream.doctor.listing import show
from tests.doctor.looks import led
from tests.postgres.feed import run
from tests.postgres.roles import Roles
from tests.services import SECRET


@pytest.fixture
async def settings(roles: Roles) -> AsyncIterator[dict[str, str]]:
    """Of a deployment where all is well, and somebody leads."""
    async with led(roles.service):
        few = {"max_connections": "100", "max_streams": "40", "max_polls": "40"}
        yield few | {"database_url": roles.service, "jwt_secret": SECRET}


def doctor(*options: str, ulimit: int = 1024, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run from a shell that allows so many open files."""
    variables = {f"ORDERSTREAM_{key.upper()}": value for key, value in settings.items()}
    command = shlex.join([sys.executable, "-m", "orderstream.cli", "doctor", *options])
    return subprocess.run(
        ["sh", "-c", f"ulimit -n {ulimit}; exec {command}"],
        env=variables | {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_status_is_0_where_all_is_well(settings: dict[str, str]) -> None:
    """A line each, whole and without colours where no terminal is; and what was not looked at."""
    ended = doctor(**settings)
    *lines, last = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line.split()[0] for line in lines] == ["ok"] * 15
    assert last == "15 ok; not checked: service, canary, url"


def test_status_is_1_where_something_is_wrong(settings: dict[str, str], roles: Roles) -> None:
    """What, and on the line below what to do."""
    run(roles.owner, "alter table public.orders disable trigger orderstream_inserted")
    ended = doctor(**settings)
    lines = ended.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("wrong"))
    assert ended.returncode == 1
    assert lines[at].split(maxsplit=2)[1:] == [
        "triggers", "orderstream_inserted on public.orders: disabled, so changes are told to nobody"
    ]  # fmt: skip
    assert lines[at + 1].strip().startswith("-> alter table public.orders enable trigger orderstream_inserted; then")


def test_status_is_1_where_too_few_files_may_be_open(settings: dict[str, str]) -> None:
    """Of the shell that it is run from."""
    ended = doctor(ulimit=150, **settings)
    assert ended.returncode == 1
    assert "wrong    files         the limit of open files of this shell" in ended.stdout


def test_status_is_2_where_settings_are_wrong(settings: dict[str, str]) -> None:
    """The rest is looked at all the same, since there is a database_url."""
    ended = doctor("--json", heartbeat_s="60", **settings)
    made = json.loads(ended.stdout)
    assert ended.returncode == 2
    assert made["verdict"] == "wrong"
    assert [(finding["check"], finding["what"]) for finding in made["findings"] if finding["verdict"] != "ok"] == [
        ("settings", "heartbeat_s from ORDERSTREAM_HEARTBEAT_S must be a number from 0.1 to 55")
    ]
    assert made["not_checked"] == ["service", "canary", "url"]


def test_database_that_is_not_set_is_not_looked_at() -> None:
    """What could not be checked is listed."""
    ended = doctor(jwt_secret=SECRET, max_connections="100", max_streams="40", max_polls="40")
    assert ended.returncode == 2
    assert "wrong    settings  database_url is not set" in ended.stdout
    assert "not checked: service, database, schema, role, rights, triggers, " in ended.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--url", "orders.example.com"], "--url must begin with https:// or http://"),
        (["--url", "https://orders.example.com"], "--url needs a JWT: give --token, or set jwt_secret"),
        (["--thorough"], "--token and --thorough are for --url"),
    ],
)
def test_status_is_2_where_options_make_no_sense(options: list[str], said: str) -> None:
    """Before anything is looked at."""
    ended = doctor(*options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr


def test_url_is_asked_with_a_jwt_of_the_settings_secret(settings: dict[str, str]) -> None:
    """A way that fails is in the report, beside what is well."""
    ended = doctor("--url", "http://127.0.0.1:1", **settings)
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1] == "2 wrong, 15 ok; not checked: service, canary"


def test_lines_are_folded_under_their_column_on_a_terminal() -> None:
    """And coloured; nowhere else."""
    console = Console(force_terminal=True, color_system="standard", width=60, record=True, file=io.StringIO())
    show(report([Finding("outbox", Verdict.WRONG, "word " * 20, "do this")], []), console)
    assert "\x1b[1;31mwrong" in console.export_text(styles=True, clear=False)
    lines = console.export_text().splitlines()
    assert lines[0].startswith("wrong    outbox  word word")
    assert lines[1].startswith(" " * 17 + "word")
    assert all(len(line) <= 60 for line in lines)
