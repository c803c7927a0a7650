"""FastAPI's answer 422 without what was sent: its own handler repeats the whole input."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from shared.privacy.scrub import scrub_problems


def validation_body(error: RequestValidationError) -> dict[str, Any]:
    """`{"detail": [{loc, type, msg}, …]}`, in FastAPI's own shape."""
    return {"detail": scrub_problems(list(error.errors()))}


async def answer_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return JSONResponse(validation_body(error), status_code=422)


def install(app: FastAPI) -> None:
    """Every 422 of this app is answered without input."""
    app.add_exception_handler(RequestValidationError, answer_invalid_request)
