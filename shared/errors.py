"""The one exception tree. What is raised on purpose anywhere in Salur is a SalurError.

A module that has errors of its own subclasses SalurError beside the code that raises them; here stand those that
several modules must tell apart.
"""


class SalurError(Exception):
    """What went wrong, for a person: `message` says what and where, `hint` what to do about it.

    Neither ever holds a value of a person's data: both are logged and printed as they are. An endpoint that raises it
    answers `http_status`.
    """

    http_status = 400

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Trouble(SalurError):
    """The world around is to blame (a bank that is away, a broker that restarts): the same work can succeed later."""

    http_status = 503


class CannotOpen(SalurError):
    """A sealed value is damaged, or was sealed for another purpose, recipient or schema. Trying again is no use."""


class Erased(SalurError):
    """The key of a sealed value was destroyed. A normal state: the data is gone for good, as it was meant to be."""


class KeyMissing(Trouble):
    """This process was not given a key that it needs: trouble for an operator to mend, the data itself is sound.

    `key_id` where one value names a key that is not here; None where a whole kind of keys is missing.
    """

    def __init__(self, message: str, *, hint: str = "", key_id: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.key_id = key_id


class KeyInUse(SalurError):
    """A key cannot be destroyed, because values that are still needed depend on it."""
