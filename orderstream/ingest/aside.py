"""The file of what was set aside: each message as it came, under a line that says where it stood and why.

It can be ingested as it is, once what was wrong is put right: the lines between are comments to the reader.
"""

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from orderstream.errors import OperatorError


class CannotWrite(OperatorError):
    """The file of what was set aside cannot be written."""


class SetAside:
    """Made with the first message that is set aside, in place of an earlier run's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, line: int, raw: bytes, reason: str) -> None:
        """Raises CannotWrite."""
        try:
            if self._file is None:
                self._file = self.path.open("wb")
            self._file.write(b"# line %d: %s\n%s\n" % (line, reason.encode(), raw))
        except OSError as error:
            raise CannotWrite(f"cannot write {self.path}: {error.strerror}") from None

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()
