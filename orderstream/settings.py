"""All settings in one place: a key is one entry of `Settings`, its unit in its name, its range and explanation beside
its default. How they are read is `configuration`.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from orderstream.errors import SettingsError

PREFIX = "ORDERSTREAM_"

_PORT = r"([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_LISTEN = rf"^(\[[0-9a-fA-F:.]+\]|[^\s:\[\]/]+):{_PORT}$"
_ADDRESS = {"allowed": "host:port, such as 127.0.0.1:8080 or [::1]:8080"}
_ORIGIN = Annotated[str, Meta(pattern=r"^https?://[^/\s*?#]+$")]

_NETWORK = Annotated[str, Meta(pattern=r"^[0-9a-fA-F:.]+/[0-9]{1,3}$")]

# Plain HTTP only where nobody is in between; no user info, which could make another host of a loopback's name.
_JWKS_URL = r"^(|https://[^/\s@?#]+(/[^\s#]*)?|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?(/[^\s#]*)?)$"

# What can verify a JWT.
JWT_KEYS = ("jwt_secret", "jwt_public_key", "jwks_url")

_SECRET = frozenset({"database_url", "jwt_secret"})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may choose. Times are float seconds, sizes bytes, the rest counts or names."""

    database_url: Annotated[
        str,
        Meta(
            description="The Postgres database, 14 or newer: postgresql://user:password@host:5432/database",
            extra={"allowed": "a Postgres URL"},
        ),
    ] = ""
    listen: Annotated[str, Meta(pattern=_LISTEN, description="Where clients connect", extra=_ADDRESS)] = (
        "127.0.0.1:8080"
    )
    admin_listen: Annotated[
        str,
        Meta(pattern=_LISTEN, description="Where metrics and health are; not for clients", extra=_ADDRESS),
    ] = "127.0.0.1:8081"
    startup_timeout_s: Annotated[
        float, Meta(ge=0, le=600, description="How long a start tries to reach the database")
    ] = 10.0

    jwt_secret: Annotated[
        str,
        Meta(
            pattern=r"(?s)^(|.{32,})$",
            description="The key that the login service signs JWTs with (HS256)",
            extra={"allowed": "32 characters or more"},
        ),
    ] = ""
    jwt_public_key: Annotated[
        str,
        Meta(
            description="The public key of a login service that signs with its private one (RS256, ES256 or EdDSA)",
            extra={"allowed": "a public key in PEM, or the path of a file with one"},
        ),
    ] = ""
    jwks_url: Annotated[
        str,
        Meta(
            pattern=_JWKS_URL,
            description="Where a login service publishes its public keys as a JWKS; they are fetched and kept fresh",
            extra={"allowed": "an https URL, or an http one on 127.0.0.1, localhost or [::1]"},
        ),
    ] = ""
    jwks_refresh_s: Annotated[
        float, Meta(ge=10, le=86_400, description="How often the JWKS is fetched again: so late leaves a withdrawn key")
    ] = 300.0
    jwks_min_interval_s: Annotated[
        float,
        Meta(
            ge=1, le=3600, description="The JWKS is not fetched more often, whatever keys JWTs name or however it fails"
        ),
    ] = 10.0
    jwks_timeout_s: Annotated[
        float, Meta(ge=0.1, le=60, description="After how long a fetch of the JWKS is given up")
    ] = 5.0
    jwt_issuer: Annotated[
        str,
        Meta(
            description="The iss that a JWT must have; empty: not checked",
            extra={"allowed": "the issuer as the login service writes it"},
        ),
    ] = ""
    jwt_audience: Annotated[
        str,
        Meta(
            description="The aud that a JWT must have, alone or among others; empty: not checked",
            extra={"allowed": "the audience as the login service writes it"},
        ),
    ] = ""
    max_verified_jwts: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            description="JWTs that need not be verified again, about 0.5 KB each; the longest unused go",
        ),
    ] = 20_000
    auth_expiring_s: Annotated[
        float, Meta(ge=0, le=3600, description="How long before its JWT's end a stream says auth-expiring; 0: never")
    ] = 60.0
    max_tickets_per_user: Annotated[
        int, Meta(ge=1, le=1000, description="Unspent tickets of a user; the oldest go first")
    ] = 20
    jwt_cookie: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
            description="The cookie that may carry the JWT of a browser",
            extra={"allowed": "the name of a cookie"},
        ),
    ] = "orderstream_jwt"
    jwt_leeway_s: Annotated[
        float, Meta(ge=0, le=300, description="How far a login service's clock may be off ours")
    ] = 30.0
    cors_origins: Annotated[
        list[_ORIGIN],
        Meta(
            description="Web origins, besides our own, whose pages may read the API with cookies",
            extra={"allowed": "a list of exact origins, such as https://app.example.com, without a path or *"},
        ),
    ] = []

    pool_size: Annotated[int, Meta(ge=1, le=200, description="Database connections for queries")] = 4
    query_timeout_s: Annotated[float, Meta(ge=0.1, le=300, description="After how long a query is given up")] = 10.0
    idle_session_timeout_s: Annotated[
        float,
        Meta(
            ge=1,
            le=300,
            description="After how long without a sign of life a database session is dead; at least twice safety_net_s",
        ),
    ] = 10.0

    revocation_keep_s: Annotated[
        float,
        Meta(
            ge=60,
            le=315_360_000,
            description="How long a logged-out session is refused; a JWT that is good for longer is not taken",
        ),
    ] = 2_592_000.0
    session_write_s: Annotated[
        float, Meta(ge=0.05, le=60, description="How often open streams are written for the other processes to list")
    ] = 1.0
    session_beat_s: Annotated[
        float,
        Meta(ge=0.1, le=600, description="Between signs of life of this process; without three it is taken for gone"),
    ] = 10.0
    poll_linger_s: Annotated[
        float, Meta(ge=0, le=3600, description="How long after its last poll a device is listed as open")
    ] = 60.0
    max_polling_devices: Annotated[
        int,
        Meta(ge=1, le=10_000_000, description="Devices between two polls that are listed; the longest idle go first"),
    ] = 100_000

    heartbeat_s: Annotated[
        float, Meta(ge=0.1, le=55, description="Between two heartbeats of a stream, give or take 10 %")
    ] = 15.0
    retry_ms: Annotated[
        int,
        Meta(ge=100, le=600_000, description="What an EventSource waits before it reconnects, plus jitter"),
    ] = 2000
    send_timeout_s: Annotated[
        float, Meta(ge=1, le=3600, description="A client that does not take what waits for it for so long is cut off")
    ] = 60.0

    log_max_events: Annotated[
        int, Meta(ge=1, le=100_000, description="Recent events that a user's channel keeps in memory")
    ] = 256
    log_max_bytes: Annotated[int, Meta(ge=1024, le=1 << 30, description="Bytes that these events may take")] = 262_144
    channel_grace_s: Annotated[
        float, Meta(ge=0, le=86_400, description="How long a channel outlives its last subscriber")
    ] = 120.0
    max_channels: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Channels in memory; the longest unused go first")
    ] = 100_000
    load_window_s: Annotated[
        float, Meta(ge=0, le=1, description="How long cold channels are collected for one query")
    ] = 0.003
    load_max_users: Annotated[int, Meta(ge=1, le=10_000, description="Users in one such query")] = 500
    snapshot_max_orders: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Orders in one user's snapshot; the newest are kept")
    ] = 5000
    snapshot_closed_s: Annotated[
        float, Meta(ge=0, le=31_536_000, description="How long an ended order stays in the snapshot")
    ] = 86_400.0
    replay_page_events: Annotated[
        int, Meta(ge=1, le=10_000, description="Events read from the table at a time to replay them")
    ] = 500

    poll_wait_s: Annotated[
        float, Meta(ge=0, le=600, description="How long a long-poll is held that does not say how long")
    ] = 25.0
    poll_max_wait_s: Annotated[
        float, Meta(ge=0, le=600, description="How long it is held at most, whatever it says")
    ] = 55.0
    poll_max_events: Annotated[int, Meta(ge=1, le=10_000, description="Events in one answer to a long-poll")] = 500

    max_streams: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Open streams of one process: some 3 KB and a file descriptor each")
    ] = 20_000
    max_streams_per_user: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Open streams of one user in one process; three tabs and a phone never meet it, a runaway "
            "page does, and its oldest stream is closed for the newest",
        ),
    ] = 20
    max_polls: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Waiting polls of one process: each holds a connection, as a stream")
    ] = 20_000
    max_polls_per_user: Annotated[
        int, Meta(ge=1, le=10_000, description="Waiting polls of one user in one process, as many as streams")
    ] = 20
    new_streams_per_s: Annotated[
        float,
        Meta(
            ge=0.1,
            le=1_000_000,
            description="New streams a second in one process, and as many at once: opening costs the time that open "
            "streams need; who is refused is told when to come back",
        ),
    ] = 2000.0
    requests_per_user_per_minute: Annotated[
        int,
        Meta(ge=1, le=10_000_000, description="Requests of one user; a poller whose every poll is answered makes 600"),
    ] = 1200
    requests_per_address_per_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000_000,
            description="Requests of one IPv4 address or IPv6 /64; a mobile network puts thousands of users behind one",
        ),
    ] = 12_000
    limiter_max_keys: Annotated[
        int,
        Meta(
            ge=100,
            le=10_000_000,
            description="Users whose requests are counted, and as many addresses, some 200 bytes each; the longest "
            "unseen is forgotten",
        ),
    ] = 100_000
    trusted_proxies: Annotated[
        list[_NETWORK],
        Meta(
            description="Networks of the proxies in front of us, whose X-Forwarded-For is believed; without them all "
            "that comes through a proxy counts as one address",
            extra={"allowed": "a list of networks, such as 10.0.0.0/8 or fd00::/8"},
        ),
    ] = []
    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Open connections of one process, more than streams and polls need; below the limit of file "
            "descriptors, or new ones fail where they should be refused",
        ),
    ] = 50_000
    request_head_timeout_s: Annotated[
        float,
        Meta(ge=0.1, le=300, description="A connection that has not sent a whole request head by then is closed"),
    ] = 10.0
    request_body_timeout_s: Annotated[
        float, Meta(ge=0.1, le=300, description="The same for a request's body, which is at most a few hundred bytes")
    ] = 10.0
    keepalive_timeout_s: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="How long a connection may wait for its next request; longer than a proxy keeps it, which is "
            "60 s mostly, or the proxy sends a request into a connection that we are closing",
        ),
    ] = 75.0
    url_max_bytes: Annotated[
        int, Meta(ge=1024, le=65_536, description="A request's URL: a cursor, a page and a ticket take some 500")
    ] = 8192
    header_max_bytes: Annotated[
        int,
        Meta(ge=1024, le=65_536, description="One header: all cookies of a site share one, and a JWT may have 8192"),
    ] = 16_384
    max_headers: Annotated[
        int, Meta(ge=16, le=1000, description="Headers of one request; a browser sends 20, and proxies add to them")
    ] = 64
    head_max_bytes: Annotated[
        int, Meta(ge=4096, le=1 << 20, description="A request's URL and headers together; more is closed unanswered")
    ] = 65_536
    body_max_bytes: Annotated[
        int, Meta(ge=1024, le=1 << 20, description="A request's body; no resource needs more than a few hundred")
    ] = 65_536

    batch_max_events: Annotated[
        int, Meta(ge=1, le=100_000, description="Events that the sequencer numbers in one step")
    ] = 1000
    safety_net_s: Annotated[
        float, Meta(ge=0.05, le=300, description="The sequencer looks after so long without a doorbell")
    ] = 5.0
    doorbell_poll_min_s: Annotated[
        float, Meta(ge=0.0005, le=1, description="Shortest pause of the sequencer that cannot lie down")
    ] = 0.001
    doorbell_poll_max_s: Annotated[
        float, Meta(ge=0.0005, le=10, description="Longest pause of the sequencer that cannot lie down")
    ] = 0.02
    election_s: Annotated[
        float, Meta(ge=0.05, le=60, description="How often the others try to become the sequencer")
    ] = 2.0

    retention_events_s: Annotated[
        float, Meta(ge=1, le=315_360_000, description="How long events are kept for replay")
    ] = 604_800.0
    retention_batch_rows: Annotated[
        int, Meta(ge=1, le=100_000, description="Rows that retention deletes at a time")
    ] = 1000
    retention_every_s: Annotated[
        float, Meta(ge=0.05, le=86_400, description="How often retention looks for old rows")
    ] = 10.0

    vitals_every_s: Annotated[
        float, Meta(ge=0.5, le=300, description="How often the database is asked what waits there, and for its clock")
    ] = 10.0
    ready_late_s: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="Not ready: changes that wait so long to be read, or for a number while none is given",
        ),
    ] = 15.0

    canary_user: Annotated[
        str,
        Meta(
            max_length=255,
            description="A reserved user, whose order is changed every few seconds to see that the change arrives; "
            "empty: none",
            extra={"allowed": "a user_id that no client has"},
        ),
    ] = ""
    canary_every_s: Annotated[
        float, Meta(ge=0.1, le=3600, description="Between two changes of the canary's order, of each process")
    ] = 5.0
    canary_late_s: Annotated[
        float, Meta(ge=0.1, le=600, description="After how long a change that did not arrive is late")
    ] = 2.0

    drain_timeout_s: Annotated[
        float, Meta(ge=0, le=600, description="How long a stop may take before what is left is cut off")
    ] = 20.0
    drain_spread_s: Annotated[
        float, Meta(ge=0, le=600, description="Over how long clients are told to come back after a stop")
    ] = 5.0

    log_format: Annotated[
        Literal["auto", "console", "json"],
        Meta(description="Log lines; auto: console on a terminal, else json"),
    ] = "auto"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least severe line that is logged")
    ] = "info"
    traced_events: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Share of events whose steps become OpenTelemetry spans, the same ones in all processes; 0: no "
            "spans at all; needs the extra otel, and OTEL_EXPORTER_OTLP_ENDPOINT says where they go",
        ),
    ] = 0.0

    def require(self, *keys: str) -> None:
        """Raises SettingsError for the first of the keys that is empty."""
        for key in keys:
            if not getattr(self, key):
                raise SettingsError(f"{key} is not set: set {PREFIX}{key.upper()}, or {key} in the settings file")

    def require_jwt_key(self) -> None:
        """Raises SettingsError where nothing is set that could verify a JWT."""
        if not any(getattr(self, key) for key in JWT_KEYS):
            variables = ", ".join(PREFIX + key.upper() for key in JWT_KEYS)
            raise SettingsError(
                f"none of {', '.join(JWT_KEYS)} is set: set one of {variables}, or in the settings file"
            )

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{key}={value!r}' for key, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = ((key, getattr(self, key)) for key in self.__struct_fields__)
        return [(key, "***" if key in _SECRET and value else value) for key, value in shown]


def host_port(address: str) -> tuple[str, int]:
    """`host:port`, as `listen` has it, as a pair; the brackets of an IPv6 address are taken off."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def own_address(address: str) -> str:
    """`host:port` at which a process reaches itself that listens on `address`."""
    host, port = host_port(address)
    own = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{own}]:{port}" if ":" in own else f"{own}:{port}"
