"""What a process costs, as the kernel counts it: proc(5)."""

import os
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")


def family(pid: int) -> list[int]:
    """A process and all that it started, as far as they live."""
    try:
        children = (_PROC / f"{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(descendant for child in children for descendant in family(int(child)))]


def cpu_s(pids: Iterable[int]) -> float:
    """CPU time that they used so far, in user and kernel mode together."""
    # In ns, where the ticks of /proc/<pid>/stat are 10 ms; of the threads that live.
    return sum(_task_ns(task) for pid in pids for task in _tasks(pid)) / 1e9


def _tasks(pid: int) -> list[Path]:
    try:
        return list((_PROC / f"{pid}/task").iterdir())
    except FileNotFoundError:
        return []


def _task_ns(task: Path) -> int:
    try:
        return int((task / "schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def cpu_with_ended_s(pid: int) -> float:
    """The same of a program with all that it started, those that have ended by now too: these to 10 ms."""
    fields = (_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
    # Fields 16 and 17: of children that were waited for.
    return cpu_s(family(pid)) + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pids: Iterable[int]) -> int:
    """Memory of theirs that is in RAM."""
    return sum(_kilobytes(_PROC / f"{pid}/status", "VmRSS:") for pid in pids) * 1024


def kernel_bytes() -> int:
    """Memory of the whole machine's kernel that it cannot give back: its objects, and what sockets hold."""
    pages = 0
    for line in (_PROC / "net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            pages = int(line.split()[-1])
    return _kilobytes(_PROC / "meminfo", "SUnreclaim:") * 1024 + pages * os.sysconf("SC_PAGE_SIZE")


def _kilobytes(file: Path, key: str) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return 0
