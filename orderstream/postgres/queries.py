"""The named queries: each a file in queries/, with its intent on top."""

from functools import cache
from importlib.resources import files


@cache
def query(name: str, package: str = "orderstream.postgres") -> str:
    """The SQL text of `queries/<name>.sql` of the package."""
    return files(package).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
