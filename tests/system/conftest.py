"""The seed of what is random here."""

import random

import pytest


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Given by --seed, else a new one; a failure shows it."""
    given = request.config.getoption("--seed")
    chosen = random.randrange(1 << 32) if given is None else int(given)
    print(f"repeat with --seed {chosen}")
    return chosen
