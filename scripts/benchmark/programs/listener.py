"""The floor of latency: one session that listens, and nothing behind it. Prints the age of each notification, in
seconds; ends after so many."""

import select
import sys
import time
from contextlib import closing

import psycopg2

from scripts.benchmark.orders import NOTIFY_CHANNEL
from scripts.fleet.times import written_at

_KEY = b'"written_at":"'


def main() -> None:
    left = int(sys.argv[2])
    with closing(psycopg2.connect(sys.argv[1])) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(f"LISTEN {NOTIFY_CHANNEL}")
        print("listening", flush=True)
        while left > 0:
            select.select([session], [], [])
            session.poll()
            now = time.time()
            for notification in session.notifies:
                payload = notification.payload.encode()
                print(now - written_at(payload, payload.rfind(_KEY) + len(_KEY)))
            left -= len(session.notifies)
            session.notifies.clear()


if __name__ == "__main__":
    main()
