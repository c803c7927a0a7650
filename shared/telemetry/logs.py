"""The one logger set-up: JSON lines on standard error, scrubbed of personal data."""

import logging
import sys
import traceback
from typing import Any

import structlog

from shared.errors import SalurError
from shared.privacy.scrub import scrub_event_dict


def _without_words(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Where it failed and with what type, but the words only of our own errors: others may repeat a person's data."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        if isinstance(error, SalurError):
            event["reason"] = error.message
        event["frames"] = [
            f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
    return event


def configure(service: str, instance: int, level: str = "INFO") -> None:
    """Every line of this process, libraries' included, becomes one JSON object with time, level, service, instance."""
    shared_processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_words,
        scrub_event_dict,
    ]
    structlog.configure(
        processors=[*shared_processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service, instance=instance)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared_processors,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("aiokafka", "faust", "mode", "uvicorn", "uvicorn.access", "aiohttp.access"):
        logging.getLogger(noisy).setLevel("WARNING")
