"""A small disk that can be filled: a tmpfs, in a namespace of its own for whoever may not mount one otherwise."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Keeps the mount until its input ends. The user within the namespace is the one outside.
_KEEPER = """
import ctypes, os, sys
folder, options = (text.encode() for text in sys.argv[1:])
if ctypes.CDLL(None, use_errno=True).mount(b"tmpfs", folder, b"tmpfs", 0, options):
    sys.exit(os.strerror(ctypes.get_errno()))
print("mounted", flush=True)
sys.stdin.read()
"""


@contextmanager
def small_disk(size_mb: int) -> Iterator[Path]:
    """A folder on it. Where none may be mounted the test is skipped, in CI too: no installation would help."""
    with tempfile.TemporaryDirectory(prefix="orderstream-disk-", dir="/tmp") as folder:
        options = f"mode=755,size={size_mb}m"
        with _mounted(folder, options) if os.geteuid() == 0 else _kept(folder, options) as path:
            yield path


@contextmanager
def _mounted(folder: str, options: str) -> Iterator[Path]:
    # Whom root's Postgres runs as must pass through.
    os.chmod(folder, 0o755)
    told = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
    if told.returncode != 0:
        pytest.skip(f"no disk to fill may be mounted here: {told.stderr.strip()}")
    try:
        yield Path(folder)
    finally:
        # Lazily: a server that was killed may still be about to close its files.
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def _kept(folder: str, options: str) -> Iterator[Path]:
    own = ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount"]
    keeper = subprocess.Popen(
        [*own, sys.executable, "-c", _KEEPER, folder, options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with keeper:
        assert keeper.stdout is not None
        assert keeper.stderr is not None
        if keeper.stdout.readline() != "mounted\n":
            pytest.skip(f"no disk to fill may be mounted here: {keeper.stderr.read().strip()}")
        try:
            yield Path(f"/proc/{keeper.pid}/root{folder}")
        finally:
            keeper.kill()
