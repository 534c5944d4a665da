"""What is known without asking anybody: the settings, and how many files this process may have open."""

import ipaddress
import resource
from collections.abc import Callable, Sequence

from orderstream.doctor.findings import SETTINGS, Finding, ok, warning, wrong
from orderstream.errors import SettingsError
from orderstream.postgres import dsn
from orderstream.settings import Settings, host_port
from orderstream.web.keys import fixed_keys

FILES = "files"

# Sessions of a process besides its pool: follower, sequencer, revocations; then pipes, logs, libraries, listeners.
_OTHER_FILES = 64


def check_settings(settings: Settings, lines: Sequence[str]) -> list[Finding]:
    """`lines` are what could not be read; a value is never quoted."""
    found = [wrong(SETTINGS, line, "put it right, and start the service again") for line in lines]
    # A key may be missing because it could not be read.
    found += [] if lines else _missing(settings)
    found += _unreadable(settings)
    if _is_public(settings.admin_listen):
        found.append(
            warning(
                SETTINGS,
                f"admin_listen is {settings.admin_listen}: whoever reaches it is asked for no credential",
                "make it an address that only probes and Prometheus reach, or see that a firewall does",
            )
        )
    if settings.max_streams + settings.max_polls > settings.max_connections:
        found.append(
            warning(
                SETTINGS,
                f"max_streams and max_polls together are more than max_connections ({settings.max_connections})",
                "raise max_connections: a stream too many is told when to come back, a connection too many is cut off",
            )
        )
    return found or [ok(SETTINGS, "every key and value can be read, and a key for JWTs is set")]


def check_files(settings: Settings, limit: int | None = None) -> list[Finding]:
    """`limit` is the one of the running service; where it is not known, this process's own stands for it."""
    whose = "the running service" if limit is not None else "this shell, and so of a service started from it,"
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    needed = settings.max_connections + settings.pool_size + _OTHER_FILES
    if allowed == resource.RLIM_INFINITY or allowed >= needed:
        return [ok(FILES, f"the limit of open files of {whose} is {_count(allowed)}; {needed} are needed at most")]
    room = allowed - settings.pool_size - _OTHER_FILES
    instead = f", or max_connections {room}" if room > 0 else ""
    return [
        wrong(
            FILES,
            f"the limit of open files of {whose} is {allowed}, and max_connections is {settings.max_connections}: "
            "new connections fail where they should be refused",
            f"start the service with {needed} or more (systemd: LimitNOFILE={needed}; docker: --ulimit "
            f"nofile={needed}; a shell: ulimit -n {needed}){instead}",
        )
    ]


def _count(limit: int) -> str:
    return "none" if limit == resource.RLIM_INFINITY else str(limit)


def _missing(settings: Settings) -> list[Finding]:
    requirements: list[Callable[[], None]] = [lambda: settings.require("database_url"), settings.require_jwt_key]
    found = []
    for require in requirements:
        try:
            require()
        except SettingsError as error:
            what, _, to_do = str(error).partition(": ")
            found.append(wrong(SETTINGS, what, to_do))
    return found


def _unreadable(settings: Settings) -> list[Finding]:
    reads: list[Callable[[], object]] = [lambda: fixed_keys(settings.jwt_secret, settings.jwt_public_key)]
    if settings.database_url:
        reads.append(lambda: dsn.parameters(settings.database_url))
    found = []
    for read in reads:
        try:
            read()
        except SettingsError as error:
            found.append(wrong(SETTINGS, str(error), "put it right: the service does not start with it"))
    return found


def _is_public(address: str) -> bool:
    """Whether others than this machine may reach it; a name is taken for what it says."""
    host, _ = host_port(address)
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
