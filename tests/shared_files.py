"""Files that are read where they are and never copied: their licences are not ours."""

import os
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parents[2] / "shared" / "data"


def shared_file(name: str) -> Path:
    """`../shared/data/<name>`; skips the test where it is missing, and fails it where CI is to have it."""
    path = _FOLDER / name
    if not path.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"../shared/data/{name} is missing")
    return path
