"""The HTTP edge: transports, resources and who is asking; the only importer of aiohttp.web."""
