"""What can happen to a connection, and what can be done about it: the two alphabets of `machine`."""

from enum import StrEnum

import msgspec


class Cause(StrEnum):
    """Why a stream or a poll was lost."""

    FAILED = "failed"
    ENDED = "ended"
    SILENT = "silent"
    HOLE = "hole"
    MALFORMED = "malformed"
    OVERLOAD = "overload"


class Timer(StrEnum):
    STREAM = "stream"
    POLL = "poll"
    BEHIND = "behind"


class Happening(msgspec.Struct, frozen=True):
    pass


class Began(Happening, frozen=True):
    pass


class Retry(Happening, frozen=True):
    """The stream's `retry:` field."""

    retry_s: float


class StreamLive(Happening, frozen=True):
    """The replay is over: the `live` event came and we know its head."""


class StreamProved(Happening, frozen=True):
    """A heartbeat came after `live`: bytes flow by themselves."""


class StreamLost(Happening, frozen=True):
    cause: Cause
    after_s: float = 0.0


class StreamLeft(Happening, frozen=True):
    """A `goaway` that wants us back after `after_s`."""

    reason: str
    after_s: float = 0.0


class PollAnswered(Happening, frozen=True):
    """`held` is False where the server had nothing to tell and did not wait for it either."""

    held: bool = True


class PollLost(Happening, frozen=True):
    cause: Cause
    after_s: float = 0.0


class Behind(Happening, frozen=True):
    """A head above what we know."""


class CaughtUp(Happening, frozen=True):
    pass


class Refused(Happening, frozen=True):
    """401, or a goaway `auth-expired`. `renewable`: a newer JWT can be had."""

    renewable: bool
    reason: str
    after_s: float = 0.0


class Expiring(Happening, frozen=True):
    """`auth-expiring`: the stream will end with its JWT, soon."""


class Dismissed(Happening, frozen=True):
    """204, 403, or a goaway that does not want us back."""

    reason: str


class Due(Happening, frozen=True):
    timer: Timer


class Action(msgspec.Struct, frozen=True):
    pass


class OpenStream(Action, frozen=True):
    pass


class CloseStream(Action, frozen=True):
    pass


class AskPoll(Action, frozen=True):
    pass


class ClosePoll(Action, frozen=True):
    pass


class Wait(Action, frozen=True):
    """Replaces a wait of the same timer."""

    timer: Timer
    for_s: float


class Stop(Action, frozen=True):
    timer: Timer


class Forget(Action, frozen=True):
    """Start from a snapshot: the cursor is not to be trusted, or leads nowhere."""


class RenewJwt(Action, frozen=True):
    pass


class End(Action, frozen=True):
    reason: str
