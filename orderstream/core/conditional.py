"""The long-poll's request headers: `If-None-Match` (RFC 9110 section 13.1.2) and `Prefer` (RFC 7240)."""

import re

# An entity tag, weak or not; the character set is RFC 9110 section 8.8.3's etagc, without obs-text.
_TAG = re.compile(r'\s*(?:W/)?"([\x21\x23-\x7e]*)"\s*(?:,|$)')
# One preference of a list: what stands between commas that are not within quotes. Possessive, and with a branch for a
# quote that never closes, so that no text is looked at twice: the header is the client's.
_PREFERENCE = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+(?:"|\\?$))++', re.DOTALL)
_SECONDS = re.compile(r'("?)([0-9]{1,9})\1', re.ASCII)

# Apache appends it to the tag of what it compressed (and never takes it off what comes back).
_COMPRESSED = ("-gzip", "-br", "-deflate")

ANY = "*"


def entity_tags(header: str) -> list[str]:
    """The opaque parts of the tags in an If-None-Match, `["*"]` for the star; tags that cannot be read are as good as
    unknown ones, so they come as they are."""
    if header.strip() == ANY:
        return [ANY]
    tags, at = [], 0
    while match := _TAG.match(header, at):
        tags.append(_uncompressed(match[1]))
        at = match.end()
    return tags or [header.strip()]


def _uncompressed(tag: str) -> str:
    for suffix in _COMPRESSED:
        tag = tag.removesuffix(suffix)
    return tag


def preferred_wait_s(prefer: str) -> int | None:
    """The seconds of `Prefer: wait=N`; None where there is none that can be read.

    "If any preference is specified more than once, only the first instance is to be considered" (section 2).
    """
    for preference in _PREFERENCE.findall(prefer):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            match = _SECONDS.fullmatch(value.strip())
            return int(match[2]) if match else None
    return None
