"""The order state change matrices of the FIX standard, through the real tables, triggers and a stream."""

import itertools
import uuid
from typing import Any

import aiohttp
import pytest
from psycopg2.extensions import cursor

from tests.matrices import Case, Write, cases
from tests.postgres.feed import insert_order, opened
from tests.services import running_service
from tests.system.clients import Frame, Stream, open_stream


def an_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def play(at: cursor, case: Case) -> None:
    """Each message in a transaction of its own."""
    for write in case.writes:
        order_id = an_id(f"{case.name}/{write.order}")
        if write.is_new:
            insert_order(at, "ann", id=order_id, **write.columns)
        else:
            if write.execution is not None:
                execute(at, order_id, write.execution)
            places = ", ".join(f"{name} = %({name})s" for name in write.columns)
            at.execute(f"update public.orders set {places} where id = %(id)s", write.columns | {"id": order_id})
        at.connection.commit()


def execute(at: cursor, order_id: str, one: dict[str, Any]) -> None:
    at.execute(
        "insert into public.executions (id, order_id, symbol, side, quantity, price, kind, refers_to)"
        " values (%s, %s, 'AAPL', 'buy', %s, %s, %s, %s)",
        (
            *(an_id(one["name"]), order_id, one["quantity"], one["price"], one["kind"]),
            one["refers_to"] and an_id(one["refers_to"]),
        ),
    )


def printed(case: Case, write: Write) -> dict[str, Any]:
    """What the matrix says of the order after a message; a request or a refusal says nothing of quantities."""
    row, columns = write.printed, write.columns
    said = {"id": an_id(f"{case.name}/{write.order}"), "status": columns["status"], "quantity": row["order_qty"]}
    if row.get("message_in") is None:
        said |= {"filled_quantity": row["cum_qty"], "remaining_quantity": row["leaves_qty"]}
    if row["ord_status"] is not None and row["exec_type"] is None:
        return {"id": said["id"], "status": said["status"]}
    # Printed with nothing left of a new order for 10,000.
    return said if case.name != "E.1.a" or row["time"] != 2 else said | {"remaining_quantity": 10_000}


async def events(stream: Stream, count: int) -> list[Frame]:
    """The next ones that have a number."""
    got: list[Frame] = []
    while len(got) < count:
        frame = await stream.next()
        assert frame is not None
        if frame.event in ("order", "execution"):
            got.append(frame)
    return got


@pytest.mark.system
async def test_client_sees_the_matrices_as_they_are_printed_and_nothing_certain_is_odd(database: str) -> None:
    """Status, quantities, executions and their order, on all main paths and refused branches; of their rows one is
    called suspicious, which is printed against the standard's own rule."""
    played = cases()
    seen: list[Frame] = []
    async with (
        running_service(database) as service,
        aiohttp.ClientSession() as client,
        open_stream(client, service, "ann") as stream,
    ):
        await stream.until("live")
        with opened(database, autocommit=False) as session, session.cursor() as at:
            for case in played:
                play(at, case)
                seen += await events(stream, sum(1 + (write.execution is not None) for write in case.writes))
        labels = {"verdict": "suspicious", "rule": "quantity"}
        assert service.service.meter.registry.get_sample_value("orderstream_checks_total", labels) == 1
    orders = iter(frame.data for frame in seen if frame.event == "order")
    executions = iter(frame.data["execution"] for frame in seen if frame.event == "execution")
    for case, write in itertools.chain.from_iterable(zip(itertools.repeat(case), case.writes) for case in played):
        told, said = next(orders), printed(case, write)
        assert {name: told["order"][name] for name in said} == said, (case.name, write.printed)
        assert told["exec_type"] == write.columns.get("exec_type") or write.columns.get("exec_type") is None
        if write.execution is not None:
            one = next(executions)
            assert (one["kind"], one["quantity"]) == (write.execution["kind"], write.printed["last_qty"]), case.name
    odd = [(frame.data["order"]["client_order_id"], frame.data["check"]) for frame in seen if "check" in frame.data]
    assert [(name, check["verdict"], check["rule"]) for name, check in odd] == [("Z", "suspicious", "quantity")]
