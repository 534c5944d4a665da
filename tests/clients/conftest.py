"""One version of Postgres is enough here: a client cannot see which one it is."""

from pathlib import Path

import pytest

from tests.postgres.servers import NAMES


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = (config.getoption("--postgres") or NAMES)[0]
    spare = [item for item in items if _here(item) and _version(item) not in (None, chosen)]
    config.hook.pytest_deselected(items=spare)
    items[:] = [item for item in items if item not in spare]


def _here(item: pytest.Item) -> bool:
    return item.path.parent == Path(__file__).parent


def _version(item: pytest.Item) -> str | None:
    call = getattr(item, "callspec", None)
    return call.params.get("postgres") if call is not None else None
