"""docs/metrics.md says of every metric what it is, and of none that is not there."""

import re
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from orderstream.app import Service
from orderstream.settings import Settings

DOCUMENT = Path(__file__).parent.parent / "docs" / "metrics.md"


async def test_every_metric_is_documented_once() -> None:
    """As Prometheus names it."""
    text = generate_latest(Service(Settings()).meter.registry).decode()
    scraped = [
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(text)
        if family.name.startswith("orderstream_") and not family.name.endswith("_created")
    ]
    documented = re.findall(r"^\| `(orderstream_\w+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(set(scraped))
