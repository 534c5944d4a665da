"""Thousands of clients in one process: what scripts/bench and scripts/load drive a service with.

Raw sockets on one epoll and no task a client, so that 15,000 of them measure the service and not themselves.
`connection` speaks HTTP/1.1, `streams` and `polls` know what the answers mean, `fleet` turns the loop, `tally` counts
what came and when, `charts` draws it.
"""
