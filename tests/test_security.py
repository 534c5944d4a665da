"""The threat model names the tests that show what it says: all of them exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_test_that_the_threat_model_names_exists() -> None:
    """A test that is renamed is renamed in docs/security.md too."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/security.md").read_text(encoding="utf-8")))
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    known = {name for source in sources for name in re.findall(r"def (test_\w+)\(", source)}
    assert len(named) > 20
    assert named - known == set()
