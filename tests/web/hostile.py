"""Requests as nobody well-meaning sends them, as Hypothesis strategies."""

import json
import re
import time
from typing import Any, NamedTuple
from urllib.parse import quote

import jwt
from hypothesis import strategies as st

from tests.web.conftest import COOKIE, SECRET

_SOON = int(time.time()) + 7200
_EPOCH = "0a0a0a0a"  # of MemoryStore
_BIGINT = 2**63

_BREAKS = ["\r", "\n", "\r\n", "\0", "\r\nid: 9\r\n\r\n", "\n\nevent: order\n", "\x85", "\u2028", "\r\nX-Stray: yes"]
_CURSORS = [f"{_EPOCH}.{seq}" for seq in ("0", "1", _BIGINT - 1, _BIGINT, "-1", "01", "1e3", "٣")] + ["ffffffff.3"]
_TAGS = [f'W/"{_EPOCH}.1"', f'"{_EPOCH}.1-gzip"', "*", '""', '"', "W/", ", ,"]
_PREFERENCES = [
    "wait=0",
    "wait=1, wait=2",
    "wait=1e309",
    "wait=-1",
    'wait="1',
    "respond-async; wait=1",
    "wait=" + "9" * 400,
]
_CREDENTIALS = ["A" * 43, "Bearer", "Bearer ", "Basic YTpi", "..", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "null"]
_PAGES = ["WyIiLCIiXQ", "WyIyMDI2IiwiYSJd", "W10", "=", "200", "201", "1e2", "open"]
_PLACES = [
    "http://[",
    "https://trade.example",
    "00000000-0000-0000-0000-000000000000",
    "%00",
    "%0d%0a",
    "{",
    "'; drop --",
]
# What a parser goes back over, or counts, when it is repeated.
PIECES = [
    '"',
    'W/"',
    '"a",',
    '\\"',
    'a="\\',
    "a=",
    "a; ",
    ",",
    ";",
    " ",
    "\t",
    "wait=",
    "wait=1,",
    "a",
    "9",
    ".",
    "/",
    "%",
]
# As much as a header may have, with its name.
_LONG_BYTES = 16_000

_SHAPES = st.sampled_from(_CURSORS + _TAGS + _PREFERENCES + _CREDENTIALS + _PAGES + _PLACES)


def long(head: str, piece: str, tail: str = "") -> str:
    """That piece as often as a header takes it."""
    return head + piece * ((_LONG_BYTES - len(head) - len(tail)) // len(piece)) + tail


_long_texts = st.builds(long, st.sampled_from(["", *PIECES]), st.sampled_from(PIECES), st.sampled_from(["", *PIECES]))
_texts = st.one_of(
    _SHAPES,
    st.sampled_from(_BREAKS),
    st.text(max_size=30),
    st.tuples(_SHAPES, st.sampled_from(_BREAKS), _SHAPES).map("".join),
)
_claims = st.fixed_dictionaries(
    {
        "sub": st.one_of(_texts, st.none(), st.integers()),
        "exp": st.sampled_from([_SOON, 4e9, 0, -1, 1e308, "4000000000", None, []]),
    },
    optional={
        "sid": st.one_of(_texts, st.integers()),
        "jti": _texts,
        "nbf": st.sampled_from([0, 4e9, "x"]),
        "iat": st.sampled_from([0, 1, "1", -1e308]),
    },
)


def _signed(some: dict[str, Any]) -> str:
    return "Bearer " + jwt.encode(some, SECRET, "HS256")


def _quoted(text: str) -> str:
    return quote(text.encode(errors="surrogatepass"), safe="")


GOOD = _signed({"sub": "ann", "exp": _SOON})
_credentials = st.one_of(
    *[st.just(GOOD)] * 4, st.none(), _claims.map(_signed), _texts, _texts.map("Bearer {}".format), st.just(GOOD[:-2])
)
_parameters = st.dictionaries(
    st.sampled_from(["cursor", "ticket", "status", "symbol", "limit", "page", "token"]), _texts, max_size=3
)
_NAMES = """Last-Event-ID If-None-Match Prefer Cookie Origin Sec-Fetch-Site X-Forwarded-For Range Content-Type Accept
    X-Request-Id traceparent Expect User-Agent Access-Control-Request-Method Access-Control-Request-Headers"""
_fields = st.dictionaries(
    st.sampled_from(_NAMES.split()), st.one_of(_texts, _texts.map(f"{COOKIE}={{}}".format), _long_texts), max_size=3
)
_paths = st.one_of(
    st.sampled_from(["/v1/orders", "/v1/orders/poll", "/v1/orders/stream", "/v1/orders/stream", "/v1/tickets"]),
    st.sampled_from(["/v1/sessions", "/v1/acks", "/openapi.json", "/docs", "/", "//", "*", "/v1/orders/"]),
    _texts.map(lambda text: "/v1/orders/" + _quoted(text)),
    _texts.map(lambda text: "/v1/sessions/" + _quoted(text)),
)
_methods = st.sampled_from(["GET"] * 6 + ["POST", "OPTIONS", "DELETE", "HEAD", "PUT", "get", "BREW"])

_ack = st.fixed_dictionaries(
    {"cursor": st.one_of(st.sampled_from(_CURSORS), _texts), "transport": st.sampled_from(["sse", "poll", "", None])}
).map(lambda ack: json.dumps(ack).encode())
_bodies = st.one_of(st.just(b""), _ack, st.binary(max_size=20), st.sampled_from([b"{", b"[" * 20_000, b'"' * 70_000]))


class Request(NamedTuple):
    """One on the wire; `raw` leaves the ends of lines in its header fields as they are."""

    method: str
    path: str
    parameters: dict[str, str]
    credential: str | None
    fields: dict[str, str]
    raw: bool
    body: bytes = b""

    def encoded(self, port: int) -> bytes:
        """Its bytes; the connection ends with the answer."""
        query = "&".join(f"{name}={_quoted(value)}" for name, value in self.parameters.items())
        fields = self.fields | ({} if self.credential is None else {"Authorization": self.credential})
        lines = [f"{self.method} {self.path}{'?' if query else ''}{query} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        lines += [f"{name}: {value if self.raw else _one_line(value)}" for name, value in fields.items()]
        lines += [f"Content-Length: {len(self.body)}"] if self.body else []
        return ("\r\n".join([*lines, "Connection: close", "", ""])).encode(errors="surrogatepass") + self.body


def _one_line(value: str) -> str:
    return re.sub("[\r\n\0]", " ", value)


requests = st.builds(
    Request, _methods, _paths, _parameters, _credentials, _fields, st.sampled_from([False] * 5 + [True])
)
# Requests that are not refused before their body is looked at.
acks = st.builds(
    Request,
    st.just("POST"),
    st.just("/v1/acks"),
    st.just({}),
    st.just(GOOD),
    st.fixed_dictionaries({"Content-Type": st.sampled_from(["application/json", "application/json;charset=x"])}),
    st.just(False),
    _bodies,
)
