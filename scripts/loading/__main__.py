"""scripts/load: the arguments, the run, and what is said of it."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.fleet.connection import Target
from scripts.loading import screen, users, verdict
from scripts.loading.run import Plan, Run
from scripts.loading.users import Unusable, User
from scripts.loading.writers import DeskWriter, TableWriter, Writer

_SECRET = "ORDERSTREAM_JWT_SECRET"

_DESCRIPTION = """Holds streams and polls against a deployment of yours, and says how old events were when they came,
and whether any was lost: every event's number must follow on the one before, and at the end each user is asked for once
more, so that the last ones count too."""

_EPILOG = f"""whose streams:
  --demo              users of the demo (scripts/run), signed in as its page does it
  --tokens FILE       a JWT of yours in each line
  neither             made-up users load-0, load-1, …, with JWTs made with the secret in {_SECRET}

who writes:
  --dsn URL           an order for each made-up user, inserted, updated --writes-per-s times a second, and deleted again
  --demo              small orders placed at the demo's desk, --writes-per-s a second
  neither             nobody but whoever writes anyway

the age of an event:
  It runs from the trigger's written_at, just before the commit, to the moment at which it was read here. The first is
  on the database's clock: with --dsn that is asked for, and the ages are corrected; without, they are by both clocks,
  and right where these agree, as they do on one machine.

examples:
  scripts/load --demo --streams 200 --users 20 --writes-per-s 20
  {_SECRET}=… scripts/load --url https://orders.example.com --streams 5000 --polls 500 \\
      --ramp-up 60 --duration 300 --dsn postgresql://… --limit p99=50ms --limit errors=0

The exit status is 0; 1 where an event was lost or came twice, or a limit was missed; 2 where it could not be run. A
service limits what comes from one address (requests_per_address_per_minute, 12,000) and one user (max_streams_per_user,
20): give --users enough of them. Against a service on this machine, every thousand clients come from an address of
their own."""


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _OneLine(
        prog="scripts/load",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="where the service is; default: %(default)s")
    parser.add_argument("--insecure", action="store_true", help="take any certificate")
    parser.add_argument("--streams", type=_count, default=100, metavar="N", help="default: %(default)s")
    parser.add_argument("--polls", type=_count, default=0, metavar="M", help="long-polls; default: %(default)s")
    parser.add_argument(
        "--users", type=_count, metavar="U", help="default: one for each stream and poll; 20 of the demo"
    )
    parser.add_argument(
        "--ramp-up", type=_seconds, default=5.0, metavar="S", help="seconds in which they come; default: 5"
    )
    parser.add_argument("--duration", type=_seconds, default=30.0, metavar="S", help="seconds after that; default: 30")
    parser.add_argument("--demo", action="store_true", help="the service is a demo")
    parser.add_argument("--tokens", type=Path, metavar="FILE", help="JWTs, one a line")
    parser.add_argument("--dsn", metavar="URL", help="the database, to write orders of made-up users")
    parser.add_argument("--writes-per-s", type=_rate, default=10.0, metavar="W", help="default: 10")
    parser.add_argument(
        "--limit", action="append", default=[], type=_limit, metavar="p99=50ms", help="may be given again"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the ages into a file")
    chosen = parser.parse_args(arguments)
    if chosen.streams + chosen.polls == 0:
        parser.error("nothing to do: give --streams or --polls")
    if chosen.demo and (chosen.dsn or chosen.tokens):
        parser.error("--demo has users and a writer of its own: leave --dsn and --tokens out")
    if chosen.dsn and chosen.tokens:
        parser.error("--dsn writes orders of made-up users, and nobody knows whose --tokens are")
    return chosen


class _OneLine(argparse.ArgumentParser):
    """What is wrong is said in a line."""

    def error(self, message: str) -> "None":  # type: ignore[override]
        self.exit(2, f"{self.prog}: {message}\n")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1000000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to 86400")
    return value


def _rate(text: str) -> float:
    value = _seconds(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 a second is nothing: leave --dsn out")
    return value


def _limit(text: str) -> verdict.Limit:
    try:
        return verdict.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _users(chosen: argparse.Namespace, target: Target) -> list[User]:
    clients = chosen.streams + chosen.polls
    if chosen.demo:
        return users.of_demo(target, chosen.users or min(clients, 20))
    count = chosen.users or clients
    if chosen.tokens is not None:
        return users.of_file(chosen.tokens, count)
    secret = os.environ.get(_SECRET, "")
    if not secret:
        raise Unusable(f"whose streams? Set {_SECRET}, or give --tokens or --demo")
    return users.by_secret(secret, count, "load-", chosen.ramp_up + chosen.duration + 600)


def _writer(chosen: argparse.Namespace, target: Target, streaming: Sequence[User]) -> Writer | None:
    if chosen.dsn:
        return TableWriter(chosen.dsn, streaming, chosen.writes_per_s)
    return DeskWriter(target, streaming, chosen.writes_per_s) if chosen.demo else None


def main(arguments: Sequence[str]) -> int:
    chosen = _arguments(arguments)
    try:
        target = Target(chosen.url, verify=not chosen.insecure)
        streaming = _users(chosen, target)
        writer = _writer(chosen, target, streaming)
        if writer is not None:
            writer.prepare()
        offset_s = writer.offset_s if isinstance(writer, TableWriter) else 0.0
        plan = Plan(chosen.streams, chosen.polls, chosen.ramp_up, chosen.duration)
        run, progress = Run([target], plan, streaming, offset_s), screen.Progress()
        try:
            run.go(writer, progress)
        except KeyboardInterrupt:
            pass
        finally:
            progress.end()
    except (Unusable, ValueError, OSError) as error:
        print(f"scripts/load: {error}", file=sys.stderr)
        return 2
    return _report(chosen, run, writer)


def _report(chosen: argparse.Namespace, run: Run, writer: Writer | None) -> int:
    tallies = run.tallies
    print(screen.table(tallies, {"sse": chosen.streams, "poll": chosen.polls}))
    for tally in tallies:
        if tally.ages.count:
            print(f"\n{screen.bars(tally)}")
    print()
    for line in screen.troubles(tallies):
        print(line)
    if isinstance(writer, TableWriter):
        print(f"ages are corrected: the database's clock is {writer.offset_s * 1000:+.2f} ms off ours, "
              f"give or take {writer.offset_within_s * 1000:.2f} ms")  # fmt: skip
    else:
        print("ages are by both clocks, the database's and ours, as they are")
    if writer is not None:
        print(f"written: {writer.written}" + (f", until {writer.trouble}" if writer.trouble else ""))
    if chosen.plot is not None:
        screen.plot(tallies, chosen.plot)
    wrong = _wrong(chosen, run, writer)
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


def _wrong(chosen: argparse.Namespace, run: Run, writer: Writer | None) -> list[str]:
    lines = []
    for tally in run.tallies:
        if tally.lost or tally.repeated:
            lines.append(f"{tally.lost} events lost and {tally.repeated} repeated by {tally.transport}")
        if tally.opened == 0:
            lines.append(f"nobody got in by {tally.transport}")
    if run.unasked:
        lines.append(f"{run.unasked} users could not be asked for at the end: whether they have all is not known")
    if writer is not None and writer.trouble:
        lines.append(f"writing ended: {writer.trouble}")
    return lines + verdict.missed(chosen.limit, run.tallies)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
