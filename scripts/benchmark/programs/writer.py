"""Updates random orders: `--per-s` single updates a second, or batches as fast as Postgres takes them. Prints the
seconds that it took."""

import argparse
import hashlib
import random
import time
import uuid
from contextlib import closing
from typing import Any

import psycopg2

from scripts.benchmark.orders import WRITER

_ONE = "update public.orders set filled_quantity = filled_quantity + 1 where id = %s"
_MANY = "update public.orders set filled_quantity = filled_quantity + 1 where id = any(%s::uuid[])"
_ALL = "update public.orders set filled_quantity = filled_quantity + 1 where starts_with(user_id, %s)"


def order_id(number: int) -> str:
    return str(uuid.UUID(hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dsn")
    parser.add_argument("--count", type=int, required=True, help="updates in all")
    parser.add_argument("--first", type=int, default=0, help="the first order's number")
    parser.add_argument("--orders", type=int, required=True, help="how many orders there are to choose from")
    parser.add_argument("--batch", type=int, default=1, help="orders in one transaction, each once")
    parser.add_argument("--per-s", type=float, default=0.0, help="transactions a second; 0: as many as can be")
    parser.add_argument("--say-longest", action="store_true", help="print what one took whenever none took longer yet")
    parser.add_argument("--all-of", metavar="PREFIX", help="one update of all orders of the users named so")
    chosen = parser.parse_args()
    with closing(psycopg2.connect(chosen.dsn, application_name=WRITER)) as session, session.cursor() as cursor:
        session.autocommit = True
        began = time.perf_counter()
        if chosen.all_of is not None:
            cursor.execute(_ALL, [chosen.all_of])
        else:
            write(cursor, chosen, began)
        print(time.perf_counter() - began)


def write(cursor: Any, chosen: argparse.Namespace, began: float) -> None:
    longest_s = 0.0
    for number in range(chosen.count // chosen.batch):
        if chosen.per_s:
            time.sleep(max(0.0, began + number / chosen.per_s - time.perf_counter()))
        ids = [order_id(chosen.first + n) for n in random.sample(range(chosen.orders), chosen.batch)]
        asked_at = time.perf_counter()
        cursor.execute(_ONE if chosen.batch == 1 else _MANY, [ids[0] if chosen.batch == 1 else ids])
        took_s = time.perf_counter() - asked_at
        if chosen.say_longest and took_s > longest_s:
            longest_s = took_s
            print(longest_s, flush=True)


if __name__ == "__main__":
    main()
