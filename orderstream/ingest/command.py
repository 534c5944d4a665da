"""The command `ingest-fix`: its options and its help; what it runs is imported when it runs."""

import os
import sys
from functools import partial
from pathlib import Path

import click

from orderstream.configuration import load
from orderstream.core.fix.pace import pace_of

_EVER = float("inf")


def as_pace(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """The callback of an option that says how many times as fast as it was."""
    try:
        return None if value is None else pace_of(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


@click.command("ingest-fix", short_help="Play a FIX log into the tables of orders.")
@click.argument("log", metavar="FILE|-")
@click.option(
    "--user-from", "tags", metavar="TAG", multiple=True, help="Tag that names the user; may be given again. [1]"
)
@click.option("--user", help="Whose all orders are, whatever the log says.")
@click.option(
    "--pace",
    metavar="10x",
    callback=as_pace,
    help="Play at so many times the pace of SendingTime; else as fast as it goes.",
)
@click.option("--silence-most-s", type=click.FloatRange(0), default=_EVER, help="With --pace: waits are cut to that.")
@click.option("--source", default="", help="Whose log it is: those of different sources may use the same ids.")
@click.option("--set-aside", type=click.Path(dir_okay=False, path_type=Path), help="[FILE.set-aside]")
@click.option("--strict", is_flag=True, help="Set messages with a wrong CheckSum aside too.")
@click.pass_context
def ingest_fix(
    context: click.Context,
    log: str,
    tags: tuple[str, ...],
    user: str | None,
    pace: float | None,
    silence_most_s: float,
    source: str,
    set_aside: Path | None,
    strict: bool,
) -> None:
    """Play a FIX log into public.orders and public.executions of database_url, as an order service would.

    A drop copy, or any log of FIX 4.0 to 5.0 SP2: one message a line or one after another, with SOH, | or ^A between
    fields and whatever the log puts before them; from a file, or from stdin as it comes. New orders (D), requests
    (F, G), reports (8) and cancel rejects (9) are played; session messages, status requests and their answers are
    passed over. docs/ingest.md says how each field is read.

    An order's user is named by Account (1), or by the tags of --user-from; where its first message has none of them by
    ClientID (109), a client's party (448), or the CompID at the client's end of the session.

    Nothing happens twice: a message that was played before, by this run or an earlier one, as a PossDup or at another
    hop of its way, is known again. So what was stopped or killed is simply started again.

    What cannot be played does not stop the rest: it is written to a file with its line and the reason, which can
    itself be ingested later.

    Exit status: 0 where all was played, 1 where something was set aside, 2 where the log, the database or the options
    are wrong, 130 or 143 where it was stopped.

    \b
      orderstream ingest-fix drop_copy.log
      orderstream ingest-fix --pace 10x --user ann drop_copy.log
      tail -n +1 -F fix.messages.log | orderstream ingest-fix --user-from 109 -
    """
    if user is not None and tags:
        raise click.UsageError("--user and --user-from exclude each other")
    if not all(tag.isdigit() for tag in tags):
        raise click.UsageError("--user-from must be the number of a tag, such as 1 or 109")
    if silence_most_s < _EVER and pace is None:
        raise click.UsageError("--silence-most-s is for --pace")
    settings = load(os.environ, context.obj)
    settings.require("database_url")
    from orderstream.core.fix.reports import Users
    from orderstream.ingest import player
    from orderstream.postgres import migrations

    migrations.check_current(settings.database_url, timeout_s=settings.startup_timeout_s)
    options = player.Options(
        log=log,
        aside=player.aside_of(log, set_aside),
        users=Users(fixed=user or "", tags=tags or ("1",)),
        source=source,
        pace=pace,
        silence_most_s=silence_most_s,
        is_strict=strict,
    )
    progress = partial(click.echo, nl=False, err=True)
    timeout_s = settings.startup_timeout_s
    sys.exit(player.run(settings.database_url, options, timeout_s=timeout_s, say=click.echo, progress=progress))
