"""The command as its user meets it: one line for what is wrong, exit status 2, and help to learn from."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orderstream.web import jwt
from orderstream.web.keys import fixed_keys
from tests.core.fix.lines import report

SECRET = "a-secret-of-the-tests-of-32-bytes-or-more"

COMMANDS = ["serve", "migrate", "demo", "token", "watch", "doctor", "ingest-fix", "new-epoch"]


def orderstream(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {f"ORDERSTREAM_{key.upper()}": value for key, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "orderstream.cli", *arguments],
        env=environment | {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def complaint(*arguments: str, **settings: str) -> str:
    """What the command says as it refuses: one line, after the name of the program."""
    ended = orderstream(*arguments, **settings)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    return ended.stderr.removeprefix("orderstream: ").rstrip("\n")


def test_help_lists_every_command_and_examples() -> None:
    """A newcomer finds the first thing to type."""
    said = orderstream("--help").stdout
    assert all(f"  {command} " in said for command in COMMANDS)
    assert "orderstream demo" in said.partition("Examples:")[2]


def test_help_cuts_no_summary() -> None:
    """On a terminal of 80 columns, where click ends what is too long with dots."""
    assert "..." not in orderstream("--help").stdout.partition("Commands:")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_needs_no_settings(command: str) -> None:
    """Help works where nothing is set up, and quickly."""
    ended = orderstream(command, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "settings", "line"),
    [
        (
            ["serve"],
            {},
            "database_url is not set: set ORDERSTREAM_DATABASE_URL, or database_url in the settings",
        ),
        (["serve"], {"database_url": "postgresql://db"}, "none of jwt_secret, jwt_public_key, jwks_url is set: set"),
        (["migrate"], {}, "database_url is not set"),
        (["new-epoch"], {}, "database_url is not set"),
        (["token", "ann"], {}, "jwt_secret is not set"),
        (["watch", "ann"], {}, "jwt_secret is not set"),
        (["demo", "--exchange-only"], {}, "database_url is not set"),
        (["serve"], {"jwt_secrets": SECRET}, "there is no setting ORDERSTREAM_JWT_SECRETS: did you mean"),
        (
            ["--config", "/absent.toml", "serve"],
            {},
            "cannot read the settings file /absent.toml: No such file",
        ),
        (["demo", "--rate", "fast"], {}, "--rate 'fast' is not a number above 0, nor max"),
        (["migrate"], {"database_url": "postgresql://a:b/c@d/e"}, "database_url cannot be read"),
    ],
)
def test_missing_or_wrong_setting_is_one_line(command: list[str], settings: dict[str, str], line: str) -> None:
    """No traceback, no value."""
    assert complaint(*command, **settings).startswith(line)


@pytest.mark.parametrize("command", ["migrate", "new-epoch"])
def test_unreachable_database_is_one_line(command: str) -> None:
    """Where, why, and not the password."""
    url = "postgresql://me:hunter2@127.0.0.1:1/orders"
    line = complaint(command, database_url=url, startup_timeout_s="0")
    assert line.startswith("cannot reach the database 127.0.0.1:1/orders: ")
    assert "hunter2" not in line


def test_token_is_good_for_its_user() -> None:
    """The printed JWT verifies with the same secret."""
    printed = orderstream("token", "ann", "--expires-s", "60", jwt_secret=SECRET).stdout.strip()
    judge = jwt.Verifier(fixed_keys(SECRET, ""), None, jwt.JwtSettings())
    assert asyncio.run(judge.verify(printed)).user_id == "ann"


def test_token_names_the_issuer_and_audience_of_the_settings() -> None:
    """Without them the service would refuse it."""
    named = {"jwt_issuer": "https://login.example", "jwt_audience": "orders"}
    printed = orderstream("token", "ann", jwt_secret=SECRET, **named).stdout.strip()
    judge = jwt.Verifier(fixed_keys(SECRET, ""), None, jwt.JwtSettings(**named))
    assert asyncio.run(judge.verify(printed)).user_id == "ann"


@pytest.mark.parametrize("arguments", [[], ["ann", "--token", "x"]])
def test_watch_wants_a_user_or_a_jwt(arguments: list[str]) -> None:
    """Not neither, and not both."""
    assert "give a USER, or --token JWT" in orderstream("watch", *arguments).stderr


def test_migrate_lists_or_plans() -> None:
    """Two questions, of which one would go unanswered."""
    ended = orderstream("migrate", "--status", "--dry-run")
    assert ended.returncode == 2
    assert "--status and --dry-run exclude each other" in ended.stderr


def test_migrate_applies_and_says_so(new_database: Callable[..., str]) -> None:
    """A dry run lists, a run applies, a second finds nothing, the status tells when."""
    url = new_database(migrated=False)
    assert "would apply tables/0001_orders.sql\n" in orderstream("migrate", "--dry-run", database_url=url).stdout
    assert "applying tables/0001_orders.sql\n" in orderstream("migrate", database_url=url).stdout
    assert orderstream("migrate", database_url=url).stdout == "nothing to apply\n"
    assert "pending" not in orderstream("migrate", "--status", database_url=url).stdout


def test_migrate_points_at_tables_that_are_there_already(new_database: Callable[..., str], postgres: object) -> None:
    """A platform that has its own tables learns of the option."""
    url = new_database(migrated=False)
    subprocess.run([f"{postgres.bin_path}/psql", url, "-qc", "create table orders (id int)"], check=True)
    line = complaint_after_progress(orderstream("migrate", database_url=url))
    assert "leave it out by --without-tables" in line
    assert "the platform's tables" in complaint("migrate", "--without-tables", database_url=url)


def complaint_after_progress(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 2
    return ended.stderr


def test_new_epoch_prints_another_each_time(database: str) -> None:
    """Eight hex digits, as a cursor has them."""
    first, second = (orderstream("new-epoch", database_url=database).stdout.strip() for _ in range(2))
    assert first != second
    assert len(first) == len(second) == 8


def test_new_epoch_asks_for_migrate_when_there_is_no_schema(new_database: Callable[..., str]) -> None:
    """One line, as `serve` says it."""
    url = new_database(migrated=False)
    assert complaint("new-epoch", database_url=url) == "the database is not migrated: run `orderstream migrate`"


def test_ingest_fix_says_what_it_did(database: str, tmp_path: Path) -> None:
    """A table, and the exit status: something was set aside, beside the log."""
    log = tmp_path / "drop.fix"
    log.write_bytes(report() + b"\nhello\n")
    ended = orderstream("ingest-fix", str(log), database_url=database)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "1  orders begun\n" in ended.stdout
    assert f"what was set aside is in {log}.set-aside\n" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["missing.fix"], "cannot read missing.fix: No such file or directory"),
        (["/"], "cannot read /: Is a directory"),
        (["--set-aside", "x", "x"], "--set-aside must not be the log itself"),
    ],
)
def test_ingest_fix_says_what_is_wrong(database: str, arguments: list[str], line: str) -> None:
    """Before anything is written."""
    assert complaint("ingest-fix", *arguments, database_url=database) == line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--user", "ann", "--user-from", "1", "x"], "--user and --user-from exclude each other"),
        (["--user-from", "account", "x"], "--user-from must be the number of a tag"),
        (["--silence-most-s", "1", "x"], "--silence-most-s is for --pace"),
        (["--pace", "fast", "x"], "'--pace': 'fast' is not a pace, such as 1x, 10x or 0.5x."),
        ([], "Missing argument 'FILE|-'"),
    ],
)
def test_ingest_fix_refuses_options_that_make_no_sense(arguments: list[str], words: str) -> None:
    """With the usage."""
    ended = orderstream("ingest-fix", *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr


def test_ingest_fix_asks_for_migrate_when_there_is_no_schema(new_database: Callable[..., str]) -> None:
    """As the other commands do."""
    url = new_database(migrated=False)
    assert complaint("ingest-fix", "x", database_url=url) == "the database is not migrated: run `orderstream migrate`"


def test_ingest_fix_says_that_its_file_cannot_be_written(database: str, tmp_path: Path) -> None:
    """What is to be set aside must not be lost: it stops."""
    log = tmp_path / "drop.fix"
    log.write_bytes(b"hello\n")
    aside = tmp_path / "no-folder" / "aside"
    line = complaint("ingest-fix", "--set-aside", str(aside), str(log), database_url=database)
    assert line == f"cannot write {aside}: No such file or directory"


def test_demo_says_that_its_port_is_taken(tmp_path: object) -> None:
    """Before anything is started."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        line = complaint("demo", "--port", str(port), "--folder", str(tmp_path))
    assert line == f"cannot listen on 127.0.0.1:{port} (Address already in use): choose another --port"
