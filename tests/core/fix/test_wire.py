"""Bytes to messages, held against simplefix and against what logs are known to do."""

import pytest
import simplefix
from hypothesis import given
from hypothesis import strategies as st

from orderstream.core.fix.wire import Message, Unreadable
from tests.core.fix.lines import encoded, items, message, messages, report

SEPARATORS = [b"\x01", b"|", b"^A"]

# No separator, no NUL, nothing that would be a message's beginning.
TEXT = st.text(st.characters(blacklist_characters="\x00\x01|^", blacklist_categories=["Cs"]), min_size=1, max_size=20)
FIELDS = st.lists(st.tuples(st.integers(5000, 9999), TEXT), max_size=8)


@pytest.mark.parametrize("separator", SEPARATORS)
def test_separator_is_seen_from_the_message(separator: bytes) -> None:
    """SOH on the wire, and what logs write in its place."""
    one = message(report((58, "all good"), separator=separator) + b"\n")
    assert (one.values["55"], one.values["58"], one.checksum_is_good) == ("AAPL", "all good", True)


@given(FIELDS, st.sampled_from(SEPARATORS), st.integers(1, 40))
def test_reads_what_simplefix_reads(fields: list[tuple[int, str]], separator: bytes, size: int) -> None:
    """The same fields in the same order, in whatever pieces they come."""
    text = encoded([(35, "8"), *fields])
    parser = simplefix.FixParser()
    parser.append_buffer(text)
    theirs = [[tag.decode(), value.decode()] for tag, value in parser.get_message().pairs]
    text = text.replace(b"\x01", separator)
    (ours,) = items(*[text[at : at + size] for at in range(0, len(text), size)])
    assert isinstance(ours, Message)
    assert (ours.pairs, ours.checksum_is_good) == (theirs, True)


@given(st.lists(st.sampled_from([report(), report((58, "x"), separator=b"|"), b"noise\n", b"8=FIX.4.4|9=5|35=8|\n"])))
def test_no_message_is_lost_among_noise(pieces: list[bytes]) -> None:
    """Whatever stands between them."""
    text = b"".join(piece if piece.endswith(b"\n") else piece + b"\n" for piece in pieces)
    found = items(text)
    assert sum(isinstance(one, Message) for one in found) == sum(b"10=" in piece for piece in pieces)
    assert len(found) == len(pieces)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_to_their_end(noise: bytes) -> None:
    """And the message behind them is found, unless they end in a digit, as no log prefix does."""
    found = items(noise + b"\n" + report() + b"\n")
    assert found[-1].raw == report()


@given(st.data(), st.sampled_from(SEPARATORS))
def test_a_broken_message_does_not_take_the_next_with_it(data: st.DataObject, separator: bytes) -> None:
    """Whatever is missing from it, or too much."""
    whole = report((95, "3"), (96, "a\x01b"), (58, "text"), separator=separator)
    at = data.draw(st.integers(0, len(whole)))
    broken = whole[:at] + data.draw(st.binary(max_size=5)) + whole[at + data.draw(st.integers(0, 60)) :]
    found = items(broken + b"\n" + report() + b"\n")
    assert found[-1].raw == report()


def test_several_messages_stand_on_a_line() -> None:
    """A capture of the wire has no lines at all."""
    assert [one.values["17"] for one in messages(report((17, "A")) + report((17, "B")) + report((17, "C")))] == [
        "A",
        "B",
        "C",
    ]


def test_what_a_log_writes_around_a_message_is_passed_over() -> None:
    """A time before it, a word behind it, comments and empty lines."""
    text = b"# made by nobody\n\n20260302-14:30:00.125 : " + report(separator=b"|") + b" [ok]\r\n"
    (one,) = messages(text)
    assert (one.line, one.values["8"]) == (3, "FIX.4.4")


def test_lines_are_counted() -> None:
    """So that a bad one is found."""
    found = items(report() + b"\n\nhello\n" + report() + b"\n")
    assert [one.line for one in found] == [1, 3, 4]
    assert isinstance(found[1], Unreadable)
    assert (found[1].raw, found[1].reason) == (b"hello", "there is no FIX message in it")


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_message_that_is_cut_short_does_not_take_the_next_with_it(end: bytes) -> None:
    """Whether the writer died at the end of its line or not."""
    cut, bad = report()[:60] + end, items(report()[:60] + end + report() + b"\n")
    assert isinstance(bad[0], Unreadable)
    assert (bad[0].raw, bad[0].reason) == (cut.rstrip(b"\n"), "it is cut short: no CheckSum (10) ends it")
    assert bad[1].raw == report()


def test_the_last_message_waits_for_its_end() -> None:
    """A log that is still being written is not read half; what never comes is said at the end."""
    (cut,) = items(report()[:-8])
    assert isinstance(cut, Unreadable)
    assert messages(report(separator=b"|").removesuffix(b"|"))[0].checksum_is_good


def test_wrong_length_and_checksum_are_read_all_the_same() -> None:
    """Anonymised logs have both wrong in every message."""
    text = report().replace(b"\x01" + b"55=AAPL", b"\x01" + b"55=LONGER-THAN-THAT")
    one, other = messages(text + text)
    assert (one.values["55"], one.checksum_is_good) == ("LONGER-THAN-THAT", False)
    assert other.raw == one.raw


def test_data_holds_separators_and_trailers() -> None:
    """RawData and EncodedText have their length before them."""
    data = b"a\x0110=000\x01b\n8=FIX.4.2\x01"
    text = encoded([(35, "8"), (95, len(data)), (96, data), (58, "behind")])
    (one,) = messages(text)
    assert (one.values["96"], one.values["58"]) == (data.decode(), "behind")


def test_data_without_a_true_length_keeps_what_is_no_field() -> None:
    """As `|` in a text does, where that separates."""
    one = message(report((58, "either|or"), separator=b"|"))
    assert (one.values["58"], one.values["38"]) == ("either|or", "100")


def test_the_first_of_a_repeated_field_counts() -> None:
    """And all of them are kept, for groups."""
    one = message(encoded([(35, "8"), (453, 2), (448, "A"), (452, 1), (448, "B"), (452, 3)]))
    assert one.values["448"] == "A"
    assert one.pairs.count(["448", "B"]) == 1


def test_latin_1_is_read_where_it_is_no_utf_8() -> None:
    """Older systems write it."""
    assert message(report((58, "Börse".encode("latin-1")))).values["58"] == "Börse"


def test_a_message_under_its_reason_is_tried_again() -> None:
    """As `SetAside` writes them; any other comment is only passed over."""
    text = b"# line 4: why\n" + report() + b"\n" + report() + b"\n# by nobody\n" + report() + b"\n"
    assert [one.is_retried for one in messages(text)] == [True, False, False]


def test_a_nul_is_unreadable() -> None:
    """No Postgres text can hold it."""
    (bad,) = items(report((58, "a\x00b")))
    assert isinstance(bad, Unreadable)
    assert bad.reason == "it holds a NUL byte"
