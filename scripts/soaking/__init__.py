"""A long run under load, and whether anything grew in it: scripts/soak.

`stage` has a Postgres and services of its own, scripts/loading the streams and the orders, `watch` looks at what they
take, `flat` says whether that grew, `report` how it looked.
"""
