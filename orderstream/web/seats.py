"""What handlers find in the application, by typed keys."""

import msgspec
from aiohttp import web

from orderstream.hub import Hub
from orderstream.ports import Meter, OrderReader, SessionStore
from orderstream.sessions import Sessions
from orderstream.web.identity import Authenticator
from orderstream.web.wheel import Wheel


class StreamSettings(msgspec.Struct, frozen=True):
    """From the settings of the same names."""

    retry_ms: int = 2000
    send_timeout_s: float = 60.0
    heartbeat_s: float = 15.0
    auth_expiring_s: float = 60.0
    jwt_leeway_s: float = 30.0


class PollSettings(msgspec.Struct, frozen=True):
    """From the settings of the same names."""

    poll_wait_s: float = 25.0
    poll_max_wait_s: float = 55.0
    poll_max_events: int = 500


AUTHENTICATOR: web.AppKey[Authenticator] = web.AppKey("authenticator", Authenticator)
HUB: web.AppKey[Hub] = web.AppKey("hub", Hub)
METER: web.AppKey[Meter] = web.AppKey("meter", Meter)
SESSIONS: web.AppKey[Sessions] = web.AppKey("sessions", Sessions)
SESSION_STORE: web.AppKey[SessionStore] = web.AppKey("session_store", SessionStore)
ORDERS: web.AppKey[OrderReader] = web.AppKey("orders", OrderReader)
WHEEL: web.AppKey[Wheel] = web.AppKey("wheel", Wheel)
STREAM_SETTINGS: web.AppKey[StreamSettings] = web.AppKey("stream_settings", StreamSettings)
