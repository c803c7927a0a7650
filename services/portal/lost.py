"""Pages for addresses that have none: mistyped, or of a form that was sent before."""

from fastapi import Request, Response

from services.portal.console.onward import HOME
from services.portal.console.showing import Pages
from services.portal.web import page
from shared.errors import SalurError
from shared.runtime.http import Lost
from shared.words import Language


class NoSuchPage(SalurError):
    """The console has no such page."""

    http_status = 404


def lost(console: Pages) -> Lost:
    """Officers read it in the console's words, everybody else in those of My aid."""

    def answer(request: Request, status: int) -> Response:
        path = request.url.path
        if path == HOME or path.startswith(f"{HOME}/"):
            given = console.refusal(request, None, NoSuchPage("there is no such page"))
            given.status_code = status
            return given
        language: Language = "en" if path == "/en" or path.startswith("/en/") else "id"
        return page(request, "message", language, status, heading="not_found_title", text="not_found")

    return answer
