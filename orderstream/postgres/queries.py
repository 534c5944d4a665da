"""The named queries: each a file in queries/, with its intent on top."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

_OURS = "orderstream.postgres"


def query(name: str, package: str = _OURS) -> str:
    """The SQL text of `queries/<name>.sql` of the package."""
    return _texts(package)[name]


@cache
def _texts(package: str) -> Mapping[str, str]:
    """All of them at once: when one is first needed there may be no descriptor left to read it with."""
    found = [one for one in files(package).joinpath("queries").iterdir() if one.name.endswith(".sql")]
    return {one.name.removesuffix(".sql"): one.read_text(encoding="utf-8") for one in found}


_texts(_OURS)
