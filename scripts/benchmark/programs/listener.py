"""The floor of latency: one session that listens, and nothing behind it.

Prints the age of each notification, in seconds, and ends after so many; told 0, it only takes them, until it is ended.
"""

import select
import sys
import time
from contextlib import closing

import psycopg2

from scripts.benchmark.orders import NOTIFY_CHANNEL
from scripts.fleet.times import written_at

_KEY = b'"written_at":"'


def main() -> None:
    wanted = int(sys.argv[2])
    heard = 0
    with closing(psycopg2.connect(sys.argv[1])) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(f"LISTEN {NOTIFY_CHANNEL}")
        print("listening", flush=True)
        while not wanted or heard < wanted:
            select.select([session], [], [])
            session.poll()
            now = time.time()
            heard += len(session.notifies)
            for notification in session.notifies if wanted else ():
                payload = notification.payload.encode()
                print(now - written_at(payload, payload.rfind(_KEY) + len(_KEY)))
            session.notifies.clear()


if __name__ == "__main__":
    main()
