"""Where open orders lie while nothing happens to them: put, take by id, draw at random, each in one step."""

from collections.abc import Iterator
from random import Random
from uuid import UUID

from .lives import Order


class Shelf:
    """Each order at most once."""

    def __init__(self) -> None:
        self._orders: list[Order] = []
        self._places: dict[UUID, int] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders)

    def put(self, order: Order) -> None:
        self._places[order.id] = len(self._orders)
        self._orders.append(order)

    def find(self, order_id: UUID) -> Order | None:
        """The order, left where it is; None when it is not here."""
        place = self._places.get(order_id)
        return None if place is None else self._orders[place]

    def take(self, order_id: UUID) -> Order | None:
        """The order, taken off; None when it is not here."""
        place = self._places.pop(order_id, None)
        if place is None:
            return None
        order, last = self._orders[place], self._orders.pop()
        if last is not order:
            self._orders[place] = last
            self._places[last.id] = place
        return order

    def draw(self, rng: Random) -> Order | None:
        """Any one of them, taken off; None when there is none."""
        return self.take(rng.choice(self._orders).id) if self._orders else None
