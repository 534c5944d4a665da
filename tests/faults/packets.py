"""Packets that are lost below TCP: the kernel drops some of those that go to or come from ports of this machine."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

_PROGRAM = shutil.which("iptables", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# Whose rules they are, should a run be killed before it has taken them away.
_NAME = "orderstream-faults"
_DROPPED = re.compile(rf"^ *(\d+) .*/\* {_NAME} \*/", re.MULTILINE)


def can_be_lost() -> bool:
    """Whether this machine has the means, and lets us."""
    return _PROGRAM is not None and os.geteuid() == 0 and _asked("-S", "INPUT").returncode == 0


@contextmanager
def lost(ports: Sequence[int], share: float) -> Iterator[Callable[[], int]]:
    """Inside, so many of them are, by chance; gives how many were so far. Raises CalledProcessError."""
    with ExitStack() as stack:
        for port in ports:
            for side in ("--dport", "--sport"):
                chance = ("-m", "statistic", "--mode", "random", "--probability", f"{share}")
                rule = (
                    "-i",
                    "lo",
                    "-p",
                    "tcp",
                    side,
                    f"{port}",
                    *chance,
                    "-m",
                    "comment",
                    "--comment",
                    _NAME,
                    "-j",
                    "DROP",
                )
                _asked("-A", "INPUT", *rule).check_returncode()
                stack.callback(_asked, "-D", "INPUT", *rule)
        yield lambda: sum(map(int, _DROPPED.findall(_asked("-nvxL", "INPUT").stdout)))


def _asked(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([_PROGRAM or "", "-w", *arguments], capture_output=True, text=True)
