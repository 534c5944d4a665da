"""What the heart asks of the edges, and they of each other: Protocols, with their MUSTs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from orderstream.core.claims import Identity
from orderstream.core.cursor import Cursor
from orderstream.core.delivery import Item, Snapshot
from orderstream.core.events import Event, SequencedEvent
from orderstream.core.log import ChannelPage
from orderstream.core.traceparent import Traceparent
from orderstream.errors import Unavailable
from orderstream.sessions import ListedDelivery


class Store(Protocol):
    """Reads what was committed. Every method raises Unavailable when the database does not answer in time, and MUST
    let its query finish when its caller is cancelled."""

    async def channel_pages(self, wanted: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], ChannelPage]:
        """`(user_id, after)` -> the user's page with events after `after`, at most as many as a log holds, the newest.
        One snapshot for all; every key asked for MUST be answered."""
        ...

    async def snapshots(self, user_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        """`user_id` -> the user's orders. The cursor MUST not be newer than the orders."""
        ...

    async def events_after(self, user_id: str, seq: int) -> tuple[str, Sequence[Event]]:
        """The epoch in force and the oldest events after `seq`, a bounded page of them."""
        ...


class OrdersPage(NamedTuple):
    """Orders as JSON, newest first; `next_key` is (created_at, id) of the last one where more follow."""

    cursor: Cursor
    orders: Sequence[bytes]
    next_key: tuple[str, str] | None


class Statement(NamedTuple):
    """Which executions are asked for: from `since` to before `until`, those after the key `before`, `limit` at most."""

    since: datetime | None = None
    until: datetime | None = None
    symbol: str | None = None
    before: tuple[str, str] | None = None
    limit: int = 50


class ExecutionsPage(NamedTuple):
    """Executions as JSON, newest first; `next_key` is (executed_at, id) of the last one where more follow."""

    executions: Sequence[bytes]
    next_key: tuple[str, str] | None


class OrderReader(Protocol):
    """Reads orders as they are now; MUST show no user another's. Raises Unavailable."""

    async def orders_page(
        self,
        user_id: str,
        *,
        open_: bool | None,
        symbol: str | None,
        before: tuple[str, str] | None,
        limit: int,
    ) -> OrdersPage:
        """The user's orders that come after the key `before`; `open_` None: open and ended ones. Raises
        InvalidParameter for a key that is none."""
        ...

    async def order(self, user_id: str, order_id: str) -> tuple[bytes, Sequence[bytes]]:
        """The order and its executions; raises NotFound, the same for another user's order as for none."""
        ...

    async def renamings(self, user_id: str, order_id: str) -> Mapping[str, str]:
        """client_order_id -> the one that the order had before, as far as its events are kept."""
        ...

    async def order_events(self, user_id: str, order_id: str, *, after: int, limit: int) -> Sequence[Event]:
        """What the user was told of an order and is kept, after a seq, oldest first, `limit` at most; of the order's
        other users nothing. Raises NotFound where the user has no such order and was told of none."""
        ...

    async def executions_page(self, user_id: str, asked: Statement) -> ExecutionsPage:
        """Of the user's own orders. Raises InvalidParameter for a key that is none."""
        ...


class Tickets(Protocol):
    """Keeps tickets by their SHA-256, for all processes. Raises Unavailable."""

    async def keep(self, digest: bytes, identity: Identity, expires_in_s: float) -> None:
        """One more ticket; MUST bound how many a user has, and let the oldest go."""
        ...

    async def spend(self, digest: bytes) -> Identity | None:
        """Whose it was, and never again, on any process; None where there is none in force. When Unavailable was
        raised, the ticket is as a rule not spent."""
        ...


class SessionStore(Protocol):
    """The sessions of all processes. Raises Unavailable."""

    async def open_elsewhere(self, user_id: str) -> Sequence[ListedDelivery]:
        """The user's deliveries on the other processes that live, as they were a moment ago; bounded, the newest."""
        ...

    async def revoke(self, by: Identity, session_id: str) -> None:
        """Ends a session of the user who asks. MUST be in force here when it returns, and on every process within a
        second; MUST NOT be refused, and MUST look the same for a session that exists and one that does not. What a user
        can add is bounded: of sessions that were not open, old ones of whoever ended most are forgotten."""
        ...


class Publisher(Protocol):
    """Takes events from a follower; MUST NOT block."""

    def publish(self, batch: Sequence[SequencedEvent]) -> None:
        """Events in order of position, each once."""
        ...

    def renew(self, epoch: str) -> None:
        """This epoch is in force from now on."""
        ...

    def forget(self) -> None:
        """Events may have been missed: nothing held in memory may be trusted."""
        ...


class Outlet(Protocol):
    """A transport's end of one delivery."""

    @property
    def ready(self) -> bool:
        """Whether it takes more now. One that was not MUST call its subscriber's `pump` when it is again."""
        ...

    def send(self, items: Sequence[Item]) -> None:
        """Takes items, in order; MUST NOT block or fail."""
        ...

    def flush(self) -> None:
        """That was all for now."""
        ...

    def fail(self, error: Unavailable) -> None:
        """What the client asked for cannot be had now; MUST end the delivery."""
        ...

    def goaway(self, reason: str, *, reconnect: bool, after_ms: int) -> None:
        """Tells the client to leave, where the transport can, and MUST end the delivery."""
        ...


class StreamOutlet(Outlet, Protocol):
    """One that writes frames as they are."""

    def write(self, frames: bytes) -> None:
        """Called only while it is ready, and counted by who calls; MUST NOT block or fail."""
        ...


class Meter(Protocol):
    """Counts; every method MUST be cheap and never raise."""

    def opened(self, transport: str) -> None: ...
    def closed(self, transport: str, reason: str) -> None: ...
    def resumed(self, source: str) -> None:
        """A delivery goes on after its client's cursor, from `memory` or from the `table`."""
        ...

    def sent(self, transport: str, items: Sequence[Item], size_bytes: int) -> None:
        """`items` MUST stay as they are: they may be counted later."""
        ...

    def streamed(self, told: Sequence[tuple[Sequence[Event], int]]) -> None:
        """Events, and how many streams each of them was written to just now; MUST be counted before it returns."""
        ...

    def acknowledged(self, transport: str, event: Event) -> None: ...
    def slowed(self) -> None:
        """A stream's client takes no more for now; `caught_up` MUST follow."""
        ...

    def caught_up(self) -> None: ...
    def polled(self, outcome: str) -> None: ...
    def loaded(self, kind: str, users: int) -> None: ...
    def sequenced(self, batch: Sequence[SequencedEvent]) -> None: ...
    def checked(self, verdict: str, rule: str, events: int) -> None:
        """The sequencer found so many events odd by a rule."""
        ...

    def unchecked(self, events: int) -> None:
        """So many could not be looked at; they were numbered all the same."""
        ...

    def slept(self) -> None: ...
    def rung(self) -> None: ...
    def caught_by_safety_net(self) -> None: ...
    def took_over(self) -> None: ...
    def stepped_down(self) -> None: ...
    def followed(self, batch: Sequence[SequencedEvent]) -> None: ...
    def database_error(self, part: str) -> None: ...
    def retired(self, table: str, rows: int) -> None: ...
    def loop_lagged(self, seconds: float) -> None: ...
    def canary_watches(self, transport: str) -> None:
        """The others may be told of it from now on: so that the first that is late is one more than none."""
        ...

    def canary_changed(self) -> None: ...
    def canary_heard(self, transport: str, seconds: float) -> None: ...
    def canary_late(self, transport: str) -> None: ...


class RequestSpan(Protocol):
    """A request in the trace of its caller."""

    def end(self, status: int | None) -> None:
        """`status` of the answer, None where there was none; MUST be called once."""
        ...


class RequestTracer(Protocol):
    """Traces requests that somebody else already traces."""

    def request(self, caller: Traceparent, method: str, route: str, request_id: str) -> RequestSpan:
        """Begins a span below the caller's; `route` is the pattern, without what a client chose."""
        ...
