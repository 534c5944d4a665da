"""The cursor's shape: what passes may be echoed into an SSE line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderstream.core.cursor import Cursor, parse_cursor


@given(epoch=st.from_regex(r"[0-9a-f]{8}", fullmatch=True), seq=st.integers(0, 10**18))
def test_cursor_is_parsed_as_written(epoch: str, seq: int) -> None:
    """Text and back."""
    assert parse_cursor(str(Cursor(epoch, seq))) == (epoch, seq)


@pytest.mark.parametrize(
    "text",
    ["", ".", "0a0a0a0a", "0a0a0a0a.", ".1", "0A0A0A0A.1", "0a0a0a0.1", "0a0a0a0a0.1", "0a0a0a0a.01", "0a0a0a0a.-1",
     "0a0a0a0a.+1", "0a0a0a0a.1 ", " 0a0a0a0a.1", "0a0a0a0a.1\n", "0a0a0a0a.1\r", "0a0a0a0a.1\x00", "0a0a0a0a.١",
     "0a0a0a0a.1_0", "0a0a0a0a." + "9" * 20, 'x0a0a0a0a.1', "0a0a0a0a.1.1"],
)  # fmt: skip
def test_malformed_text_is_no_cursor(text: str) -> None:
    """Above all nothing with a line end in it."""
    assert parse_cursor(text) is None


@given(text=st.text())
def test_what_is_parsed_is_what_was_sent(text: str) -> None:
    """One spelling a cursor."""
    cursor = parse_cursor(text)
    assert cursor is None or str(cursor) == text
