"""What a log line may hold."""

import subprocess
import sys

import pytest

_FAILING = """
import structlog
from orderstream import logs

logs.configure(log_format={log_format!r}, log_level="info")

def connect(database_url):
    raise RuntimeError("no such host")

try:
    connect("postgresql://me:" + "se" + "cret@db/orders")
except RuntimeError as error:
    structlog.get_logger().error("part-failed", exc_info=error)
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_traceback_shows_no_local_variables(log_format: str) -> None:
    """A URL with its password, or a JWT, is in some frame of most failures."""
    child = subprocess.run(
        [sys.executable, "-c", _FAILING.format(log_format=log_format)], capture_output=True, text=True, check=True
    )
    assert "no such host" in child.stderr
    assert "secret@db" not in child.stderr
