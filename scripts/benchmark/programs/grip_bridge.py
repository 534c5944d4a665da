"""From Postgres to Pushpin: one LISTEN, and what is heard is published over ZeroMQ, as its documentation advises where
there is much of it."""

import asyncio
import json
import sys

import asyncpg
import uvloop
import zmq

from scripts.benchmark.orders import NOTIFY_CHANNEL


async def main() -> None:
    socket = zmq.Context().socket(zmq.PUSH)
    # What is not taken yet waits here rather than being waited for.
    socket.sndhwm = 0
    socket.connect(f"tcp://127.0.0.1:{sys.argv[1]}")

    def heard(_connection: object, _pid: int, _channel: str, payload: str) -> None:
        user, _, event = payload.partition("\n")
        content = {"content": f"event: order\ndata: {event}\n\n"}
        # "J": in JSON.
        socket.send(b"J" + json.dumps({"channel": user, "formats": {"http-stream": content}}).encode())

    connection = await asyncpg.connect(sys.argv[2])
    await connection.add_listener(NOTIFY_CHANNEL, heard)
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
