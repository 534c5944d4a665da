"""`traceparent`, read by its shape: what is malformed is as if it had not been sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderstream.core.traceparent import Traceparent, parse_traceparent

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_example_of_the_recommendation_is_read() -> None:
    """W3C Trace Context, section 3.2.3."""
    assert parse_traceparent(f"00-{TRACE}-{PARENT}-01") == Traceparent(TRACE, PARENT, 1)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("ff", True)])
def test_only_the_last_flag_says_sampled(flags: str, sampled: bool) -> None:
    """The others are not ours to understand."""
    found = parse_traceparent(f"00-{TRACE}-{PARENT}-{flags}")
    assert found is not None
    assert found.sampled is sampled


@pytest.mark.parametrize("more", ["", "-", "-what-the-future-will-be"])
def test_later_version_is_read_as_far_as_it_is_known(more: str) -> None:
    """Section 4: by what version 00 has."""
    assert parse_traceparent(f"01-{TRACE}-{PARENT}-01{more}") == Traceparent(TRACE, PARENT, 1)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}0-01",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-01-more",
        f"01-{TRACE}-{PARENT}-01more",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
    ],
)
def test_malformed_is_none(header: str) -> None:
    """Section 3.2: wrong length, case, alphabet or version, ids of zeros, or two of them."""
    assert parse_traceparent(header) is None


@given(st.text(alphabet="0123456789abcdefg-", max_size=60))
def test_whatever_is_read_has_the_lengths_of_its_ids(header: str) -> None:
    """And whatever is not, raises nothing."""
    found = parse_traceparent(header)
    assert found is None or (len(found.trace_id), len(found.parent_id)) == (32, 16)
