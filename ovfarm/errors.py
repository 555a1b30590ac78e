"""Everything the farm raises on purpose, as one small tree.

OvfarmError
├── InvalidInput        what was asked cannot be done as it stands; names the field and the next step
├── NotFound            there is no such thing, or not for this team
├── Conflict            it exists, and its present state forbids the change
├── Unauthorized        no key, or none that is valid
├── Forbidden           the key is valid, and its role may not do this
├── QuotaExceeded       the team has as much waiting as it may have
├── IllegalTransition   a state machine was asked for a change that its table does not hold
├── LeaseLost           this attempt no longer owns its step: stop, and write nothing
├── Unavailable         a part of the farm does not answer now; the same call may work later
└── Refused             the farm answered a client with a problem document

No HTTP here: ``api`` maps each class to a status, and the CLI maps it to an exit code.
"""


class OvfarmError(Exception):
    """The root; ``code`` is stable and meant for programs, the message for people."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.hint = hint


class InvalidInput(OvfarmError):
    """What was asked cannot be done as it stands; ``pointer`` is the JSON pointer of the culprit."""

    code = "invalid_input"

    def __init__(
        self, message: str, *, pointer: str = "", code: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.pointer = pointer


class NotFound(OvfarmError):
    """There is no such thing, or not for this team: the two are never told apart."""

    code = "not_found"


class Conflict(OvfarmError):
    """It exists, and its present state forbids the change."""

    code = "conflict"


class Unauthorized(OvfarmError):
    """No key, or none that is valid; why it is not is never said."""

    code = "unauthorized"


class Forbidden(OvfarmError):
    """The key is valid, and its role may not do this."""

    code = "forbidden"


class QuotaExceeded(OvfarmError):
    """The team has as much waiting as it may have; ``retry_after_s`` says when to ask again."""

    code = "quota_exceeded"

    def __init__(self, message: str, *, retry_after_s: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class IllegalTransition(OvfarmError):
    """A state machine was asked for a change that its table does not hold."""

    code = "illegal_transition"


class LeaseLost(OvfarmError):
    """This attempt no longer owns its step: stop, and write nothing."""

    code = "lease_lost"


class Unavailable(OvfarmError):
    """A part of the farm does not answer now; the same call may work later."""

    code = "unavailable"


class Refused(OvfarmError):
    """The farm answered a client with a problem document (RFC 9457)."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "refused",
        hint: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.status = status
        self.request_id = request_id
