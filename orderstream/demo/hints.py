"""What to try once the demo runs: commands that work as they are printed."""

import sys
from pathlib import Path

from orderstream.settings import Settings
from orderstream.web import jwt

# The first of the exchange's users, and its busiest.
USER = "ann"
_JWT_EXPIRES_S = 86_400.0

_CHANGE = "update orders set reason = 'by hand' where user_id = 'ann' and status = 'submitted'"


def what_to_try(settings: Settings, psql: str) -> str:
    """What the demo prints once it runs; `psql` is the command that opens its database."""
    service = f"http://{settings.listen}"
    program = typed(Path(sys.argv[0]))
    encoded = jwt.issue(settings.jwt_secret, USER, _JWT_EXPIRES_S)
    bearer = '-H "Authorization: Bearer $JWT"'
    return f"""
Ready. Open {service} in a browser, as ann or whoever you like, or try this in another terminal:

  export JWT={encoded}

  # the orders of the user {USER}, live in the terminal
  {program} watch --token "$JWT" --url {service}

  # the same as Server-Sent Events
  curl -N {bearer} {service}/v1/orders/stream

  # and as a long-poll: a snapshot first, then whatever happens after its ETag
  ETAG=$(curl -si {bearer} {service}/v1/orders/poll | grep -i '^etag:' | cut -d' ' -f2 | tr -d '\\r')
  curl -i {bearer} -H "If-None-Match: $ETAG" {service}/v1/orders/poll

  # a page of orders
  curl -s {bearer} "{service}/v1/orders?status=open&limit=5"

  # change an order by hand, and see it arrive
  {psql} -c "{_CHANGE}"

  # how the service is doing: open http://{settings.admin_listen} in a browser, or
  curl -s http://{settings.admin_listen}/metrics

Ctrl-C stops all of it.
"""


def typed(path: Path) -> str:
    """A path as one would type it here."""
    absolute, here = path.absolute(), Path.cwd()
    return f"./{absolute.relative_to(here)}" if here.name and absolute.is_relative_to(here) else str(absolute)
