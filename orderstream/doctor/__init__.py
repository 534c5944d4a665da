"""`orderstream doctor`: looks at a deployment from this host, and says what is wrong and what to do. Changes nothing.

In the order of what rests on what: the settings, the files, the database, then the way through the public URL.
"""

import sys
from collections.abc import Sequence

from rich.console import Console

from orderstream.doctor import admin, host, listing
from orderstream.doctor.database import check_database
from orderstream.doctor.findings import Finding, Report, report
from orderstream.doctor.public import Route, check_url
from orderstream.settings import Settings

URL = "url"


async def examine(settings: Settings, lines: Sequence[str], route: Route | None) -> Report:
    """`lines` say what of the settings could not be read; without a `route` nothing is asked over HTTP but our own."""
    findings: list[Finding] = [*host.check_settings(settings, lines)]
    asked = await admin.ask(settings.admin_listen)
    findings += host.check_files(settings, asked.file_limit)
    of_service = admin.check_service(asked, settings.admin_listen)
    findings += of_service
    found, not_checked = await check_database(settings)
    findings += found
    if not of_service:
        not_checked.insert(0, admin.SERVICE)
    if route is not None:
        findings += await check_url(route)
    else:
        not_checked.append(URL)
    return report(findings, not_checked)


async def main(settings: Settings, lines: Sequence[str], route: Route | None, *, as_json: bool) -> int:
    """The command's exit status."""
    made = await examine(settings, lines, route)
    if as_json:
        sys.stdout.write(listing.as_json(made) + "\n")
    else:
        listing.show(made, Console())
    return made.status
