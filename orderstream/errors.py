"""Every error that orderstream raises on purpose: the type says who is to blame and what to answer.

Theirs (the client's request): 4xx. Ours (a part we need is missing or late): 503. The operator's (settings,
schema): the command ends with exit status 2 and the one line that the error carries.
"""


class OrderstreamError(Exception):
    """Base of them all; `str(error)` is one line: what, where, what to do."""


class OperatorError(OrderstreamError):
    """Something only the operator can put right; the CLI prints it and exits with 2."""


class SettingsError(OperatorError):
    """A settings key or value is wrong; the line names the key and where it came from."""


class SchemaError(OperatorError):
    """The database's schema is not what this version needs, or a migration cannot be applied."""


class DatabaseUnreachable(OperatorError):
    """The database could not be reached in the time given, at start."""


class RequestError(OrderstreamError):
    """The client's request cannot be answered as it is. `problem` is the stable tail of its problem type."""

    status = 400
    problem = "bad-request"


class InvalidParameter(RequestError):
    """A parameter, or a field of the body, has a value it cannot have."""

    problem = "invalid-parameter"


class Unauthorized(RequestError):
    """No credential, or one that is not good. `code` is RFC 6750's `error`, only where one was sent."""

    status = 401
    problem = "unauthorized"

    def __init__(self, detail: str, code: str | None = None) -> None:
        super().__init__(detail)
        self.code = code


class SessionRevoked(Unauthorized):
    """The credential's session was logged out; on a stream that is 204, "never come back", rather than 401."""

    problem = "session-revoked"


class Forbidden(RequestError):
    """The credential is good, but may not be used in this way."""

    status = 403
    problem = "forbidden"


class NotFound(RequestError):
    """There is no such thing, or none that this user may know of."""

    status = 404
    problem = "not-found"


class ContentTooLarge(RequestError):
    """The request's body is larger than any resource takes."""

    status = 413
    problem = "content-too-large"


class UnsupportedMediaType(RequestError):
    """The request's body is not of the media type that the resource takes."""

    status = 415
    problem = "unsupported-media-type"


class TooManyRequests(RequestError):
    """A limit of this user or address is used up; after `retry_after_s` seconds there is room again."""

    status = 429
    problem = "too-many-requests"

    def __init__(self, detail: str, retry_after_s: float) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unavailable(OrderstreamError):
    """A part we need is missing or late; asking again after `retry_after_s` seconds may help."""

    status = 503
    problem = "unavailable"

    def __init__(self, detail: str, retry_after_s: float = 2.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """This process does as much as it may; another, or this one later, has room."""

    problem = "overloaded"


class DatabaseUnavailable(Unavailable):
    """The database does not answer; driver errors become this at one door (`postgres.connections`)."""

    problem = "database-unavailable"
