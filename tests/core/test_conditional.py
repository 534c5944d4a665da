"""If-None-Match and Prefer, as clients and proxies really send them."""

import pytest

from orderstream.core.conditional import entity_tags, preferred_wait_s


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ('W/"a.1"', ["a.1"]),
        ('"a.1"', ["a.1"]),
        ('  W/"a.1"  ', ["a.1"]),
        ('W/"a.1", "b.2" ,W/"c.3"', ["a.1", "b.2", "c.3"]),
        ('W/"a.1-gzip"', ["a.1"]),
        ('"a.1-br"', ["a.1"]),
        ('""', [""]),
        ("*", ["*"]),
        (" * ", ["*"]),
        ("a.1", ["a.1"]),
        ('W/"unfinished', ['W/"unfinished']),
    ],
)
def test_entity_tags(header: str, tags: list[str]) -> None:
    """Weak comparison, a list, a compressor's suffix; what cannot be read is as good as an unknown tag."""
    assert entity_tags(header) == tags


@pytest.mark.parametrize(
    ("prefer", "wait_s"),
    [
        ("wait=10", 10),
        ("wait=0", 0),
        ('wait="10"', 10),
        ("WAIT = 10", 10),
        ("respond-async, wait=10", 10),
        ("respond-async; wait=10, handling=lenient", None),
        ("wait=10, wait=20", 10),
        ("", None),
        ("wait", None),
        ("wait=", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=1e3", None),
        ("await=10", None),
        ("wait=" + "9" * 10, None),
    ],
)
def test_preferred_wait(prefer: str, wait_s: int | None) -> None:
    """The first one counts; a malformed one is ignored."""
    assert preferred_wait_s(prefer) == wait_s


@pytest.mark.parametrize("text", ['"' + '\\"' * 30_000, '"' * 60_001, ',"' * 30_000, '"\\', "wait" * 15_000], ids=len)
def test_long_header_is_read_once(text: str) -> None:
    """A quadratic reading of these would take minutes, with the whole process waiting: no test would get past it."""
    assert preferred_wait_s(text) is None
    assert entity_tags(text)


def test_wait_behind_a_quote_that_never_closes_does_not_count() -> None:
    """The rest of the header is within the quote."""
    assert preferred_wait_s('handling="lenient, wait=10') is None
