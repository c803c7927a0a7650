"""Errors in the Graph API's shape.

Callers build on `error.code`: the HTTP status of one code has changed over the years and differs between accounts.
"""

from typing import Any

from simulators.chance import chances

RATE_LIMIT = 130429
PAIR_RATE_LIMIT = 131056
NOT_ON_WHATSAPP = 131026
SOMETHING_WRONG = 131000
WINDOW_CLOSED = 131047
PARAMETER_MISSING = 131008
PARAMETER_INVALID = 131009
UNSUPPORTED_TYPE = 131051
TEMPLATE_PARAMETER_COUNT = 132000
TEMPLATE_UNKNOWN = 132001
TEMPLATE_PARAMETER_FORMAT = 132012
INVALID_PARAMETER = 100
TOKEN_INVALID = 190

# code -> HTTP status and title
_KNOWN = {
    INVALID_PARAMETER: (400, "Invalid parameter"),
    TOKEN_INVALID: (401, "Invalid OAuth access token"),
    RATE_LIMIT: (429, "Rate limit hit"),
    SOMETHING_WRONG: (500, "Something went wrong"),
    PARAMETER_MISSING: (400, "Required parameter is missing"),
    PARAMETER_INVALID: (400, "Parameter value is not valid"),
    NOT_ON_WHATSAPP: (400, "Message undeliverable"),
    WINDOW_CLOSED: (400, "Re-engagement message"),
    UNSUPPORTED_TYPE: (400, "Unsupported message type"),
    PAIR_RATE_LIMIT: (429, "(Business Account, Consumer Account) pair rate limit hit"),
    TEMPLATE_PARAMETER_COUNT: (400, "Number of parameters does not match the expected number of params"),
    TEMPLATE_UNKNOWN: (404, "Template name does not exist in the translation"),
    TEMPLATE_PARAMETER_FORMAT: (400, "Parameter format does not match format in the created template"),
}
_WEBHOOK_DETAILS = {
    NOT_ON_WHATSAPP: "Message Undeliverable.",
    SOMETHING_WRONG: "Message failed to send due to an unknown error.",
}
_DOCUMENTATION = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"


class GraphError(Exception):
    """A request that is answered with an error; nothing was accepted."""

    def __init__(self, code: int, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.status, self.title = _KNOWN[code]

    def body(self, trace: str) -> dict[str, Any]:
        """The answer's body; `trace` makes `fbtrace_id`."""
        return {
            "error": {
                "message": f"(#{self.code}) {self.title}",
                "type": "OAuthException",
                "code": self.code,
                "error_data": {"messaging_product": "whatsapp", "details": self.details},
                "fbtrace_id": f"A{int(chances(0, trace)[0] * 2**64):016x}",
            }
        }


def webhook_error(code: int) -> dict[str, Any]:
    """One element of `errors` in a `failed` status."""
    _, title = _KNOWN[code]
    return {
        "code": code,
        "title": title,
        "message": title,
        "error_data": {"details": _WEBHOOK_DETAILS[code]},
        "href": _DOCUMENTATION,
    }
