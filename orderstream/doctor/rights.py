"""What the service's role may do, against what config/grants.sql lets it: pure.

A right is (`kind`, `name`, `privilege`, `column`): kind `schema`, `relation` or `function`; the column is empty where
the right is for all of them.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from orderstream.doctor.findings import Finding, ok, warning, wrong

ROLE = "role"
RIGHTS = "rights"

_COMMENT = re.compile(r"--[^\n]*")
_GRANT = re.compile(r"grant\s+(.+?)\s+on\s+(?:(schema|function)\s+)?(.+?)\s+to\s+\w+", re.DOTALL)
# A comma that is not within parentheses.
_COMMA = re.compile(r",\s*(?![^()]*\))")
_PRIVILEGE = re.compile(r"(\w+)(?:\s*\((.+)\))?")
# What may be done with an order or the history of them, rather than seen.
_WRITES = {"insert", "update", "delete", "truncate", "trigger", "create"}
_MOST_NAMED = 6
# The service's role in config/grants.sql.
_IN_GRANTS = "orderstream_service"


class Right(NamedTuple):
    kind: str
    name: str
    privilege: str
    column: str = ""


class Role(NamedTuple):
    """Who asks: its name, whether it is a superuser, and whether it owns the schema."""

    name: str
    superuser: bool
    owner: bool


@cache
def granted() -> frozenset[Right]:
    """Those of config/grants.sql."""
    text = files("orderstream.config").joinpath("grants.sql").read_text(encoding="utf-8")
    statements = _COMMENT.sub("", text).split(";")
    return frozenset(right for statement in statements for right in _rights(statement.strip()))


def check_role(role: Role) -> list[Finding]:
    """A superuser's and an owner's rights need not be counted: they have all of them."""
    advice = (
        "give the service a role of its own, with the rights of config/grants.sql (docs/operations.md, Roles): "
        "whoever breaks into it could else rewrite orders and their history"
    )
    if role.superuser:
        return [warning(ROLE, f"{role.name} is a superuser", advice)]
    if role.owner:
        return [warning(ROLE, f"{role.name} owns the schema orderstream", advice)]
    return [ok(ROLE, f"{role.name} is neither a superuser nor the owner of the schema")]


def check_rights(role: Role, held: Collection[Right], known: Collection[Right]) -> list[Finding]:
    """`held` is what the role may do, `known` what could be granted: not yet what a migration has to make."""
    covered = frozenset(held)
    missing = [
        right for right in granted() & frozenset(known) if not covered & {right, right._replace(column="")}
    ]  # fmt: skip
    found = []
    if missing:
        found.append(
            wrong(
                RIGHTS,
                f"{role.name} lacks {_named(missing)}",
                'psql "$OWNER_URL" -1 -v ON_ERROR_STOP=1 -f config/grants.sql'
                + ("" if role.name == _IN_GRANTS else f", with {role.name} for {_IN_GRANTS} in it"),
            )
        )
    if not role.superuser and not role.owner and (excess := covered - granted()):
        found.append(
            warning(
                RIGHTS,
                f"{role.name} has more rights than it needs: {_named(excess)}",
                "revoke them; config/grants.sql does so for the schema orderstream",
            )
        )
    return found or [ok(RIGHTS, f"{role.name} may do all that config/grants.sql lets it")]


def _rights(statement: str) -> Iterator[Right]:
    if (match := _GRANT.fullmatch(statement)) is None:
        return
    privileges, kind, names = match.groups()
    for name in _COMMA.split(" ".join(names.split())):
        for privilege, column in map(_privilege, _COMMA.split(privileges)):
            for each in column.split(","):
                yield Right(kind or "relation", name, privilege, each.strip())


def _privilege(text: str) -> tuple[str, str]:
    match = _PRIVILEGE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"config/grants.sql: {text!r} is no privilege")
    return match[1], match[2] or ""


def _named(rights: Iterable[Right]) -> str:
    """`insert, select on orderstream.events and update (cursor) on orderstream.deliveries`, what writes first."""
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for right in sorted(rights, key=lambda right: (right.privilege not in _WRITES, right)):
        by_name[right.name].append(f"{right.privilege} ({right.column})" if right.column else right.privilege)
    parts = [f"{', '.join(privileges)} on {name}" for name, privileges in by_name.items()]
    more = len(parts) - _MOST_NAMED
    return "; ".join(parts[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
