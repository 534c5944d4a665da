"""Every number in docs/protocol.md has a test, and every numbered test a number."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
_AREAS = "HTTP|ERR|WHO|JWT|TICKET|CORS|CUR|ORD|EVT|SNAP|SSE|POLL|LIST|SESSION|ACK|LIMIT"
_RULE = re.compile(rf"^- `\[({_AREAS})-(\d+)\]`", re.MULTILINE)
_TEST = re.compile(rf"def test_({_AREAS.lower()})_(\d+)_")


def rules() -> list[str]:
    text = (ROOT / "docs" / "protocol.md").read_text()
    return [f"{area}-{number}" for area, number in _RULE.findall(text)]


def numbered() -> set[str]:
    sources = [path.read_text() for path in (ROOT / "tests" / "web").glob("test_*.py")]
    return {f"{area.upper()}-{number}" for source in sources for area, number in _TEST.findall(source)}


def test_numbers_are_given_once() -> None:
    """A number means one rule."""
    assert len(rules()) == len(set(rules()))


def test_every_number_has_a_test_and_every_numbered_test_a_number() -> None:
    """In tests/web, by the beginning of its name."""
    assert set(rules()) ^ numbered() == set()
