"""Load for a deployment of one's own, and what came of it: scripts/load.

`users` has who streams, `writers` changes their orders, `run` holds the streams and polls, `verdict` says what was
reached, and `screen` how it looks.
"""
