"""The command `orderstream`: reads the settings, calls what does the work, says in a line what went wrong.

Each command imports what it runs, so that `--help` is quick and the extras of the demo may be absent.
"""

import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import click

from orderstream import __version__
from orderstream.configuration import CONFIG_VARIABLE, load, read
from orderstream.errors import OperatorError, OrderstreamError
from orderstream.settings import Settings, host_port


class _Examples(click.Group):
    """A group whose commands keep the line breaks of the examples in their help."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_commands(ctx, formatter)
        with formatter.section("Examples"):
            formatter.write_dl(
                [
                    ("orderstream demo", "try it all: a Postgres, the service and an exchange"),
                    ("orderstream migrate", "bring the schema of database_url up to date"),
                    ("orderstream serve", "stream, until SIGTERM"),
                    ("orderstream doctor", "check a deployment, and say what is wrong"),
                    ("orderstream watch ann", "follow the orders of the user ann"),
                ]
            )


@click.group(cls=_Examples, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="orderstream")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Settings file (TOML); else the one that {CONFIG_VARIABLE} names.",
)
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """Streams each user's order status changes and executions from Postgres to their screens.

    Every setting can be given in a file (config/orderstream.example.toml explains them all) or as a variable,
    such as ORDERSTREAM_DATABASE_URL and ORDERSTREAM_JWT_SECRET; a variable wins.
    """
    context.obj = config


@cli.command(short_help="Serve streams, long-polls and queries.")
@click.pass_context
def serve(context: click.Context) -> None:
    """Serve streams, long-polls and queries until SIGTERM; a second signal stops at once.

    Needs database_url (migrated) and a key for JWTs: jwt_secret, jwt_public_key or jwks_url.
    Metrics and health are on admin_listen.

    \b
      ORDERSTREAM_DATABASE_URL=postgresql://me:secret@db/orders \\
      ORDERSTREAM_JWT_SECRET=$(cat jwt_secret) orderstream serve
    """
    settings = _settings(context)
    settings.require("database_url")
    settings.require_jwt_key()
    from orderstream import app

    sys.exit(_run(app.serve(settings)))


@cli.command(short_help="Bring the database's schema up to date.")
@click.option("--dry-run", is_flag=True, help="Only list what would be applied.")
@click.option("--status", is_flag=True, help="List all migrations and when each was applied.")
@click.option("--without-tables", is_flag=True, help="The platform has its own tables orders and executions.")
@click.pass_context
def migrate(context: click.Context, dry_run: bool, status: bool, without_tables: bool) -> None:
    """Bring the database's schema up to date; safe to run from many places at once.

    \b
      orderstream migrate --dry-run
      orderstream migrate
      orderstream migrate --without-tables    # public.orders and public.executions are yours
    """
    if dry_run and status:
        raise click.UsageError("--status and --dry-run exclude each other")
    settings = _settings(context)
    settings.require("database_url")
    from orderstream.postgres import migrations

    where: dict[str, Any] = {"timeout_s": settings.startup_timeout_s}
    if status:
        for row in migrations.status(settings.database_url, not without_tables, **where):
            at = "pending" if row.applied_at is None else f"{row.applied_at:%Y-%m-%d %H:%M:%SZ}"
            click.echo(f"{at:<21} {row.migration.file}")
    elif dry_run:
        pending = migrations.plan(settings.database_url, not without_tables, **where)
        for migration in pending:
            click.echo(f"would apply {migration.file}")
        if not pending:
            click.echo("nothing to apply")
    else:
        applied = migrations.apply(settings.database_url, not without_tables, click.echo, **where)
        click.echo(f"{len(applied)} applied" if applied else "nothing to apply")


@cli.command(short_help="Try it all: a Postgres, the service and an exchange.")
@click.option("--port", type=click.IntRange(1, 65534), help="Serve on this port, and metrics on the next.")
@click.option("--rate", default="5", show_default=True, help="Order changes a second, or max.")
@click.option("--exchange-only", is_flag=True, help="Only trade, on database_url, which is migrated.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=".orderstream",
    show_default=True,
    help="Where the embedded Postgres, the logs and the key are kept.",
)
@click.pass_context
def demo(context: click.Context, port: int | None, rate: str, exchange_only: bool, folder: Path) -> None:
    """Try it all: an embedded Postgres, the service, and an exchange that trades for many users.

    Prints ready-made commands to try next, and stops all of it on Ctrl-C. With database_url set, that
    database is used instead of an embedded one.

    \b
      orderstream demo
      orderstream demo --port 9000 --rate max
    """
    _require_rate(rate)
    settings = _settings(context)
    from orderstream.demo import run

    if exchange_only:
        settings.require("database_url")
        run.become_exchange(settings, rate)
    sys.exit(asyncio.run(run.run(settings, folder=folder, port=port, rate=rate, say=_say)))


@cli.command(short_help="Print a JWT for USER, for development.")
@click.argument("user")
@click.option("--expires-s", default=86_400.0, show_default=True, help="For how many seconds it is good.")
@click.pass_context
def token(context: click.Context, user: str, expires_s: float) -> None:
    """Print a JWT for USER, signed with jwt_secret; for development.

    \b
      curl -N -H "Authorization: Bearer $(orderstream token ann)" http://127.0.0.1:8080/v1/orders/stream
    """
    click.echo(_issue(_settings(context), user, expires_s))


@cli.command(short_help="Follow a user's orders in the terminal.")
@click.argument("user", required=False)
@click.option("--token", "encoded", metavar="JWT", help="A JWT, instead of one made for USER with jwt_secret.")
@click.option("--url", help="Where the service is; by default where `listen` says.")
@click.pass_context
def watch(context: click.Context, user: str | None, encoded: str | None, url: str | None) -> None:
    """Follow a user's orders in the terminal as a live table.

    \b
      orderstream watch ann
      orderstream watch --token "$JWT" --url https://orders.example.com
    """
    if (user is None) == (encoded is None):
        raise click.UsageError("give a USER, or --token JWT")
    settings = _settings(context)
    if encoded is None:
        encoded = _issue(settings, str(user), 86_400.0)
    from orderstream import watch as watching

    sys.exit(_run(watching.main(url or _own_url(settings), encoded)))


@cli.command(short_help="Check a deployment, and say what is wrong.")
@click.option("--url", help="Also go through the public URL, as clients do: https://orders.example.com")
@click.option("--token", "encoded", metavar="JWT", help="Whose stream is opened there; else one made with jwt_secret.")
@click.option("--thorough", is_flag=True, help="Hold streams and polls there as long as silence may last: a minute.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.pass_context
def doctor(context: click.Context, url: str | None, encoded: str | None, thorough: bool, as_json: bool) -> None:
    """Check a deployment, and say what is wrong and what to do. Changes nothing.

    Run it where the service runs, with its settings: it looks at these, at the limit of open files, and at the database
    as the service's role. Each check is a line:

    \b
      ok       it is as it should be
      warning  it works, and costs something or will not last
      wrong    somebody does not get what is promised; below stands what to do

    \b
    settings       every key and value, and whether one is missing
    files          limit of open files (of the running service, else of this shell) against max_connections
    service        the one that runs here answers, and is ready: else every reason that it gives
    database       reached; replication: a primary that takes writes; schema: at this version
    role, rights   what config/grants.sql grants, no less and no more
    triggers       present, enabled, on the right tables, and firing in every session
    sessions       no pooler between that gives servers out by the transaction: a lock lasts, LISTEN is heard
    leader         some process numbers events
    epoch          begun on this cluster and timeline
    doorbell       triggers ring, and nobody else sleeps on it or keeps the sequencer awake
    outbox         nothing waits for its number, or for retention
    canary         its order could be written now, where canary_user is set (taken back at once)
    notify queue   room for notifications
    clock          the database's against this host's

    With --url, through every proxy on the way (takes one heartbeat; --thorough waits as long as the longest silence):

    \b
    stream         its first events come at once: nothing buffers
    compression    nothing compresses it
    heartbeat      comes alone and in time: nothing buffers little, or cuts silence off
    poll           the ETag comes through, and back
    held poll      with --thorough: no time-out is shorter than a poll is held

    Exit status: 0 where nothing is wrong, 1 where something is, 2 where the settings or the options are.

    \b
      orderstream doctor
      orderstream doctor --url https://orders.example.com --thorough
      orderstream doctor --url https://orders.example.com --token "$JWT" --json
    """
    if url is None and (encoded is not None or thorough):
        raise click.UsageError("--token and --thorough are for --url")
    settings, lines = read(os.environ, context.obj)
    from orderstream import doctor as examining
    from orderstream.doctor.public import Route

    route = None
    if url is not None:
        if not url.startswith(("https://", "http://")):
            raise click.UsageError("--url must begin with https:// or http://")
        if encoded is None and not settings.jwt_secret:
            raise click.UsageError("--url needs a JWT: give --token, or set jwt_secret")
        route = Route(url, encoded or _issue(settings, "orderstream-doctor", 600.0), settings, thorough)
    sys.exit(_run(examining.main(settings, lines, route, as_json=as_json)))


@cli.command("new-epoch", short_help="Make every client begin anew, after a restore.")
@click.pass_context
def new_epoch(context: click.Context) -> None:
    """Begin a new epoch: every client gets a reset and a fresh snapshot.

    For after a restore from a backup, or a fail-over that lost commits: numbers given out before may then be
    given out again, for other events.
    """
    settings = _settings(context)
    settings.require("database_url")
    from orderstream.postgres import epoch

    click.echo(epoch.renew(settings.database_url, timeout_s=settings.startup_timeout_s))


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: an error of ours is one line on stderr and exit status 2, never a traceback."""
    try:
        cli(args=arguments, prog_name="orderstream")
    except OrderstreamError as error:
        click.echo(f"orderstream: {error}", err=True)
        sys.exit(2)


def _settings(context: click.Context) -> Settings:
    return load(os.environ, context.obj)


def _require_rate(rate: str) -> None:
    """Before anything starts: the exchange, which takes it, comes last."""
    from orderstream.demo.pace import rate_of

    try:
        rate_of(rate)
    except ValueError as error:
        raise OperatorError(f"--rate {error}") from None


def _issue(settings: Settings, user: str, expires_s: float) -> str:
    settings.require("jwt_secret")
    from orderstream.web import jwt

    return jwt.issue(settings.jwt_secret, user, expires_s, issuer=settings.jwt_issuer, audience=settings.jwt_audience)


def _own_url(settings: Settings) -> str:
    host, port = host_port(settings.listen)
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _run(service: Coroutine[Any, Any, int]) -> int:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(service)


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
