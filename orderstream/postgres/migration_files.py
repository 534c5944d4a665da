"""The numbered SQL files of the package `orderstream.migrations`, read and put in order."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from importlib.abc import Traversable
from importlib.resources import files
from typing import Protocol

import msgspec

from orderstream.errors import SchemaError

TABLES = "tables"
OURS = "orderstream"
SETS = (TABLES, OURS)

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


class Numbered(Protocol):
    """What has a place in a set."""

    @property
    def set_name(self) -> str: ...

    @property
    def number(self) -> int: ...

    @property
    def file(self) -> str: ...


class Migration(msgspec.Struct, frozen=True):
    """One SQL file of a set, and the SHA-256 of its text with unix line ends."""

    set_name: str
    number: int
    name: str
    sql: str
    checksum: str

    @property
    def file(self) -> str:
        return f"{self.set_name}/{self.number:04d}_{self.name}.sql"


def packaged(root: Traversable | None = None) -> list[Migration]:
    """All migrations of both sets in the order in which they apply; `root` holds a folder for each set."""
    folder = files("orderstream.migrations") if root is None else root
    found = [migration for set_name in SETS for migration in _read_set(folder / set_name, set_name)]
    refuse_gaps(found)
    return found


def refuse_gaps(migrations: Sequence[Numbered]) -> None:
    """Raises SchemaError for the first number of a set that is left out; each set is in order."""
    for set_name in SETS:
        mine = [row for row in migrations if row.set_name == set_name]
        for wanted, row in enumerate(mine, start=1):
            if row.number != wanted:
                raise SchemaError(f"migration {set_name}/{wanted:04d} is missing before {row.file}")


def _read_set(folder: Traversable, set_name: str) -> Iterator[Migration]:
    if not folder.is_dir():
        return
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not entry.name.endswith(".sql"):
            continue
        match = _FILE_NAME.fullmatch(entry.name)
        if match is None:
            raise SchemaError(f"migration {set_name}/{entry.name} is not named NNNN_name.sql")
        sql = entry.read_text(encoding="utf-8").replace("\r\n", "\n")
        checksum = hashlib.sha256(sql.encode()).hexdigest()
        yield Migration(set_name, int(match[1]), match[2], sql, checksum)
