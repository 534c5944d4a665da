"""The form of a request that is sent again and again: all of its bytes but the cursor that it asks after and the
credential that it comes with. Requests of one form are asked in the same words, by the same kind of client."""

import hashlib
import secrets
from typing import NamedTuple

_DIGESTS = secrets.token_bytes(32)


class Form(NamedTuple):
    """How many bytes are before the cursor and after it; in which of these two the credential is, from where to where;
    and the digest of all that is left, which takes less room than a request's head."""

    before: int
    after: int
    is_credential_before: bool
    begin: int
    end: int
    digest: bytes

    def read(self, request: bytes) -> tuple[str, str] | None:
        """The cursor and the credential of a request of this form, which may be anything; None where it has another."""
        middle = len(request) - self.after
        # They may not overlap.
        if middle < self.before:
            return None
        before, after = request[: self.before], request[middle:]
        side = before if self.is_credential_before else after
        credential = side[self.begin : self.end]
        other = after if self.is_credential_before else before
        if _digest(side[: self.begin], side[self.end :], other) != self.digest:
            return None
        return request[self.before : middle].decode("latin-1"), credential.decode("latin-1")


def form_of(request: bytes, cursor: str, credential: str) -> Form | None:
    """Of the bytes of a request that was read; None where these two are not in it, apart, and once each."""
    parts, sought = request.split(cursor.encode()), credential.encode()
    if len(parts) != 2 or request.count(sought) != 1:
        return None
    before, after = parts
    is_before = sought in before
    side, other = (before, after) if is_before else (after, before)
    begin = side.find(sought)
    if begin < 0:
        return None
    end = begin + len(sought)
    return Form(len(before), len(after), is_before, begin, end, _digest(side[:begin], side[end:], other))


def _digest(*parts: bytes) -> bytes:
    """Of parts whose lengths are known. Nobody can find others that have the same, of 160 bits."""
    return hashlib.blake2b(b"".join(parts), digest_size=20, key=_DIGESTS).digest()
