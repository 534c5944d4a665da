"""`/openapi.json` describes every resource there is, and what a real service answers is what it says."""

import json
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from orderstream.core import orders as documents
from orderstream.web.acks import Ack
from orderstream.web.openapi import openapi
from orderstream.web.operations import OPERATIONS
from orderstream.web.problems import Problem
from tests.web.conftest import Site
from tests.web.produced import STORED, Produced, lasting, produced

DESCRIBED = openapi(jwt_cookie="session")
DATA = {kind.name: kind.data for kind in documents.EVENT_KINDS}
# (operation, status) -> the type of its answer, where that is not the one that the description names.
OF_POLL = {"events": documents.PolledEvents}


@pytest.fixture
async def real(database: str, request: pytest.FixtureRequest) -> Produced:
    made = await produced(database)
    if request.config.getoption("--write-examples"):
        STORED.write_text(json.dumps(made.examples, indent=1) + "\n")
    return made


def strictly(raw: str, kind: type[msgspec.Struct]) -> None:
    """Decodes as the type, and nothing of it is lost: neither a field nor a value."""
    document = msgspec.json.decode(raw, type=kind)
    again = msgspec.json.encode(document)
    assert json.loads(again, parse_int=float) == json.loads(raw, parse_int=float)


def validate(raw: str, schema: dict[str, Any]) -> None:
    """Raises ValidationError where it is not as published."""
    Draft202012Validator(schema | {"components": DESCRIBED["components"]}).validate(json.loads(raw))


def component(kind: type) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def published(operation_id: str, status: int) -> dict[str, Any]:
    """The schema of an answer."""
    (operation,) = (
        operation
        for methods in DESCRIBED["paths"].values()
        for operation in methods.values()
        if operation["operationId"] == operation_id
    )
    (content,) = operation["responses"][str(status)]["content"].values()
    return dict(content["schema"])


def type_of_answer(operation: str, status: int, name: str) -> type[msgspec.Struct]:
    (found,) = (each for each in OPERATIONS if each.name == operation)
    body = found.answers[status].body
    assert not isinstance(body, str)
    return OF_POLL.get(name, body[0])


async def test_real_answers_are_of_the_types_and_as_published(real: Produced) -> None:
    """Lists, orders, polls, sessions, tickets, what is sent; and every event of a stream, all kinds of which came."""
    for (operation, status, name), raw in real.answers.items():
        if operation != "streamOrders":
            strictly(raw, type_of_answer(operation, status, name))
            validate(raw, published(operation, status))
    for raw in real.requests.values():
        strictly(raw, Ack)
        validate(raw, component(Ack))
    for event, raw in real.frames:
        strictly(raw, DATA[event])
        validate(raw, component(DATA[event]))
    assert {event for event, _ in real.frames} == set(DATA)


async def test_real_problems_are_of_the_type_and_as_published(real: Produced) -> None:
    """Each among those of its status."""
    for status, raw in real.problems.values():
        strictly(raw, Problem)
        response = DESCRIBED["components"]["responses"][f"Problem{status}"]
        validate(raw, response["content"]["application/problem+json"]["schema"])


async def test_examples_are_what_is_answered(real: Produced) -> None:
    """But for cursors, times and chance. Where it fails rightly: `--write-examples`."""
    assert lasting(json.loads(STORED.read_text())) == lasting(real.examples)


async def test_every_route_is_described_and_nothing_else(site: Site) -> None:
    """OPTIONS is for preflights, which no client sends by itself."""
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in site.app.router.routes()
        if route.resource is not None and route.method != "OPTIONS"
    }
    assert routes == {(method, path) for path, methods in DESCRIBED["paths"].items() for method in methods}


def test_the_description_is_openapi_3_1_whose_references_lead_somewhere() -> None:
    """And whose components are all used."""
    assert DESCRIBED["openapi"].startswith("3.1.")
    components = {
        f"#/components/{kind}/{name}"
        for kind, named in DESCRIBED["components"].items()
        if kind != "securitySchemes"
        for name in named
    }
    assert set(references(DESCRIBED)) == components


def references(part: Any) -> list[str]:
    """Of all that is in it."""
    if isinstance(part, dict):
        own = [part["$ref"]] if "$ref" in part else []
        return own + [found for each in part.values() for found in references(each)]
    return [found for each in part for found in references(each)] if isinstance(part, list) else []
