"""What befalls the services, their leader, and the proxy before them."""

import asyncio
import contextlib
import os
import resource
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests.faults.catalogue import fault
from tests.faults.network import Weather
from tests.faults.stage import Stage

_HOUR_S = 3600
# What a service opened first, and keeps: nothing that it opens from now on gets so low a number.
_DESCRIPTORS = 10


@fault(0, 1)
async def service_killed(stage: Stage) -> AsyncIterator[None]:
    """A service is killed with -9, and started again."""
    service = stage.random.choice(stage.services)
    service.kill()
    yield
    await stage.start_again(service)


@fault(1, 6)
async def service_stopped(stage: Stage) -> AsyncIterator[None]:
    """A service is stopped by SIGSTOP for seconds, and continues."""
    service = stage.random.choice(stage.services)
    service.suspend()
    yield
    service.resume()


@fault(0.5)
async def rolling_restart(stage: Stage) -> AsyncIterator[None]:
    """One service after the other drains, ends and is started again."""
    for service in stage.services:
        service.stop()
        await stage.start_again(service)
    yield


@fault(2, 4)
async def no_descriptors(stage: Stage) -> AsyncIterator[None]:
    """A service may open no more files, and its connections are cut: it can take no new ones, nor make any."""
    number = stage.random.randrange(len(stage.services))
    pid = stage.services[number].pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    stage.networks[number].cut()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (_DESCRIPTORS, limits[1]))
    stage.home.cut()
    yield
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@fault(0, 1)
async def leader_killed(stage: Stage) -> AsyncIterator[None]:
    """The service that numbers is killed with -9; another one takes over."""
    number = await stage.elected()
    stage.services[number].kill()
    await stage.elected(other_than=number)
    yield
    await stage.start_again(stage.services[number])


@fault(0.5, 2)
async def leader_stopped(stage: Stage) -> AsyncIterator[None]:
    """The service that numbers is stopped until another one has taken over and numbers, and then continues."""
    number = await stage.elected()
    stage.services[number].suspend()
    await stage.elected(other_than=number)
    yield
    stage.services[number].resume()


@fault(0.5, 2)
async def leader_black_holed(stage: Stage) -> AsyncIterator[None]:
    """The connection that numbers is dead without a word, until another service has taken over; then what was said
    arrives."""
    number = await stage.elected()
    with stage.networks[number].weather(Weather(stalled=True), "orderstream sequencer"):
        await stage.elected(other_than=number)
        yield


@fault(0, 2)
async def proxy_restarted(stage: Stage) -> AsyncIterator[None]:
    """nginx or HAProxy ends with all its connections, and is started again."""
    await stage.close_front()
    yield
    await stage.open_front()


@fault(5, 7, jwt_s=2.0)
async def tokens_expire(stage: Stage) -> AsyncIterator[None]:
    """Every token is good for two seconds, in the middle of everything."""
    yield


# Tells libfaketime how far off the clocks are; without the file they are right.
_CLOCK = Path(tempfile.gettempdir()) / f"orderstream-clock-{os.getpid()}"
_FAKER = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
_FAKED = {
    "LD_PRELOAD": str(_FAKER),
    "FAKETIME_TIMESTAMP_FILE": str(_CLOCK),
    "FAKETIME_NO_CACHE": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}


def _set_clocks(by_s: int) -> None:
    """All at once: a service that reads the file while it is written would find nothing in it, and end."""
    whole = _CLOCK.with_suffix(".new")
    whole.write_text(f"{by_s:+d}\n")
    whole.replace(_CLOCK)


@fault(3, 5, environment=_FAKED, needs="" if _FAKER else "libfaketime")
async def clock_stepped(stage: Stage) -> AsyncIterator[None]:
    """The clock of all services is an hour ahead, then an hour behind."""
    with contextlib.ExitStack() as stack:
        stack.callback(_CLOCK.unlink)
        for by_s in (_HOUR_S, -_HOUR_S):
            _set_clocks(by_s)
            await asyncio.sleep(2)
        yield
