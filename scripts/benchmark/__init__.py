"""What a stream, an event and an order write cost, beside what they cost elsewhere: scripts/bench.

`scenarios` each measure one thing of the `peers`, in rounds that take turns; `lab` has the machine's cores, the
Postgres and the folder that all of it happens in; `report` writes docs/benchmarks.md and its pictures.
"""
