"""`orderstream serve` for the demo: with its page, its sign-in and its order desk on the same origin.

    python -m orderstream.demo.serve PRICES

A platform has its own of all three; the service knows nothing of them.
"""

import asyncio
import os
import sys
from pathlib import Path

from aiohttp import web

from orderstream import app
from orderstream.configuration import load
from orderstream.errors import OrderstreamError

from . import counter, page, signing_in


def main(prices_path: Path) -> None:
    """Runs until SIGTERM, with the settings of the environment; `prices_path` is the file that the exchange keeps."""
    try:
        settings = load(os.environ)

        def extend(public: web.Application) -> None:
            page.add_to(public)
            signing_in.add_to(public, settings.jwt_secret)
            counter.add_to(public, settings.database_url, prices_path)

        sys.exit(asyncio.run(app.serve(settings, extend)))
    except OrderstreamError as error:
        sys.stderr.write(f"orderstream: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
