"""Log lines by structlog: one event name and its fields, as JSON or for a terminal.

A burst of the same warning or error is one line a second: `repeated` says for how many it stands, and `request_ids`
whose they were, the newest of them. What libraries log comes the same way, from warnings on.
"""

import asyncio
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from orderstream.core.bursts import Bursts, Said

# What tells two lines of one event name apart. Values that requests choose, such as a path, are not among them.
_IDENTIFYING = ("level", "event", "reason", "part", "logger")
_INTERVAL_S = 1.0


class Repeats:
    """A processor that holds lines of a burst back, and who says them later: `told` on a timer, and at its end.

    Lines may come from any thread. `ends` make the text of a line, `write` takes it.
    """

    def __init__(
        self, ends: Sequence[Processor], write: Callable[[str], object], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ends = ends
        self._write = write
        self._clock = clock
        self._bursts: Bursts[tuple[str, ...], EventDict] = Bursts(interval_s=_INTERVAL_S)
        self._lock = threading.Lock()

    def __call__(self, logger: WrappedLogger, name: str, line: EventDict) -> EventDict:
        if line["level"] in ("debug", "info"):
            return line
        # Read now: who says it later is in no `except`.
        error = line["exc_info"] = _error(line.pop("exc_info", None))
        # The first line of what asyncio says of a task that failed; its address is on the second.
        key = (*(str(line.get(field)).partition("\n")[0] for field in _IDENTIFYING), *_origin(error))
        with self._lock:
            said = self._bursts.take(key, line, self._clock(), line.get("request_id"))
        self._say(one for one in said if one.line is not line)
        if not said or said[-1].line is not line:
            raise structlog.DropEvent
        return line

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        """While it is open, the lines of a burst that ended are said within a second or two; at its end, all."""
        telling = asyncio.create_task(self._tell(), name="log-repeats")
        try:
            yield
        finally:
            telling.cancel()
            self.flush()

    def flush(self) -> None:
        """Says all that is held."""
        with self._lock:
            said = self._bursts.rest()
        self._say(said)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            with self._lock:
                said = self._bursts.due(self._clock())
            self._say(said)

    def _say(self, said: Iterable[Said[EventDict]]) -> None:
        for one in said:
            line, level = one.line, one.line["level"]
            if one.times > 1:
                line["repeated"] = one.times
                line.pop("trace_id", None)
                if line.pop("request_id", None) is not None:
                    line["request_ids"] = one.marks
            text: Any = line
            for process in self._ends:
                text = process(None, level, text)
            self._write(text)


class _Relay(logging.Handler):
    """What libraries log, as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        level = min(record.levelno // 10 * 10, logging.CRITICAL)
        structlog.get_logger().log(level, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def configure(*, log_format: str, log_level: str) -> Repeats:
    """`log_format` is json, console or auto (console on a terminal); lines go to standard error. While `told` of what
    is returned is not open, lines that are held wait for the next one."""
    level = logging.getLevelNamesMapping()[log_level.upper()]
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    ends: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        # The default shows the local variables of every frame: URLs with passwords, JWTs.
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    # Each in one write, its end with it: several processes write to one pipe.
    lines = structlog.WriteLoggerFactory(sys.stderr)
    repeats = Repeats(ends, lines().msg)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            repeats,
            *ends,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lines,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[_Relay(logging.WARNING)], force=True)
    return repeats


def _error(exc_info: Any) -> BaseException | None:
    """Of what structlog and logging allow: an error, a triple, or True for the one that is being handled."""
    if exc_info is True:
        exc_info = sys.exc_info()
    return exc_info[1] if isinstance(exc_info, tuple) else exc_info or None


def _origin(error: BaseException | None) -> tuple[str, ...]:
    """What kind it is, and the line that raised it: two of a kind from one place are the same error."""
    if error is None:
        return ()
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return (type(error).__name__, *((at.tb_frame.f_code.co_filename, str(at.tb_lineno)) if at is not None else ()))
