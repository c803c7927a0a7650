"""Reading a send request, with the checks of the Cloud API and its errors."""

import re
from dataclasses import dataclass
from typing import Any

from simulators.carrier.errors import (
    INVALID_PARAMETER,
    PARAMETER_INVALID,
    PARAMETER_MISSING,
    TEMPLATE_PARAMETER_COUNT,
    TEMPLATE_PARAMETER_FORMAT,
    TEMPLATE_UNKNOWN,
    UNSUPPORTED_TYPE,
    GraphError,
)
from simulators.carrier.templates import Templates

CALLBACK_DATA_MAX = 512
TEXT_MAX = 4096
PARAMETER_MAX = 1024

_PHONE = re.compile(r"\+?[1-9][0-9]{6,14}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")
_TEMPLATE = re.compile(r"[a-z0-9_]{1,512}")
_FORBIDDEN_SPACE = re.compile(r"[\n\t]| {5,}")


@dataclass(frozen=True, slots=True)
class Message:
    """A send request that can be accepted: `template` with its `values`, or free `text` (template is None).

    `to` is as the caller wrote it, `phone` the WhatsApp id: digits only.
    """

    to: str
    phone: str
    callback_data: str | None
    template: str | None
    language: str | None
    values: tuple[str, ...]
    text: str | None


def read_message(body: Any, templates: Templates) -> Message:
    """Check the request's body. Raises GraphError."""
    if not isinstance(body, dict) or body.get("messaging_product") != "whatsapp":
        raise GraphError(INVALID_PARAMETER, "The parameter messaging_product is required.")
    if body.get("recipient_type", "individual") != "individual":
        raise GraphError(INVALID_PARAMETER, "Param recipient_type must be individual")
    to = body.get("to")
    if not to:
        raise GraphError(INVALID_PARAMETER, "The parameter to is required.")
    if not isinstance(to, str) or not _PHONE.fullmatch(to):
        raise GraphError(PARAMETER_INVALID, "Param to is not a phone number with its country code")
    callback_data = body.get("biz_opaque_callback_data")
    if callback_data is not None and (not isinstance(callback_data, str) or len(callback_data) > CALLBACK_DATA_MAX):
        raise GraphError(
            INVALID_PARAMETER, f"Param biz_opaque_callback_data must be a string of at most {CALLBACK_DATA_MAX}"
        )
    phone = to.removeprefix("+")
    match body.get("type", "text"):
        case "template":
            name, language, values = _template(body.get("template"), templates)
            return Message(to, phone, callback_data, name, language, values, None)
        case "text":
            return Message(to, phone, callback_data, None, None, (), _text(body.get("text")))
        case _:
            raise GraphError(UNSUPPORTED_TYPE, "Message type is not supported by this carrier: template or text")


def _template(template: Any, templates: Templates) -> tuple[str, str, tuple[str, ...]]:
    if not isinstance(template, dict):
        raise GraphError(PARAMETER_MISSING, "Parameter of type template is missing")
    name = template.get("name")
    if not isinstance(name, str) or not _TEMPLATE.fullmatch(name):
        raise GraphError(INVALID_PARAMETER, "Param template['name'] must be lower-case letters, digits and underscores")
    language = template.get("language")
    code = language.get("code") if isinstance(language, dict) else None
    if not isinstance(code, str) or not _LANGUAGE.fullmatch(code):
        raise GraphError(INVALID_PARAMETER, "Param template['language']['code'] must be a language code")
    values = _parameters(template.get("components", []))
    try:
        expected = templates.parameters(name, code)
    except KeyError:
        raise GraphError(TEMPLATE_UNKNOWN, f"template name ({name}) does not exist in {code}") from None
    if expected is not None and expected != len(values):
        raise GraphError(
            TEMPLATE_PARAMETER_COUNT,
            f"body: number of localizable_params ({len(values)}) does not match the expected number of params"
            f" ({expected})",
        )
    return name, code, values


def _parameters(components: Any) -> tuple[str, ...]:
    if not isinstance(components, list) or len(components) > 1:
        raise GraphError(INVALID_PARAMETER, "Param template['components'] must be a list with the body at most")
    if not components:
        return ()
    component = components[0]
    if not isinstance(component, dict) or str(component.get("type", "")).lower() != "body":
        raise GraphError(TEMPLATE_PARAMETER_FORMAT, "the templates of this carrier have a body only")
    parameters = component.get("parameters", [])
    if not isinstance(parameters, list):
        raise GraphError(INVALID_PARAMETER, "Param template['components'][0]['parameters'] must be a list")
    return tuple(_parameter(place, parameter) for place, parameter in enumerate(parameters))


def _parameter(place: int, parameter: Any) -> str:
    where = f"template['components'][0]['parameters'][{place}]"
    if not isinstance(parameter, dict) or parameter.get("type") != "text":
        raise GraphError(TEMPLATE_PARAMETER_FORMAT, f"Param {where} must be of type text")
    text = parameter.get("text")
    if not isinstance(text, str) or not text:
        raise GraphError(PARAMETER_MISSING, f"Param {where}['text'] is missing")
    if len(text) > PARAMETER_MAX:
        raise GraphError(INVALID_PARAMETER, f"Param {where}['text'] is longer than {PARAMETER_MAX}")
    if _FORBIDDEN_SPACE.search(text):
        raise GraphError(
            INVALID_PARAMETER,
            "Param text cannot have new-line/tab characters or more than 4 consecutive spaces",
        )
    return text


def _text(text: Any) -> str:
    body = text.get("body") if isinstance(text, dict) else None
    if not isinstance(body, str) or not 1 <= len(body) <= TEXT_MAX:
        raise GraphError(PARAMETER_INVALID, f"Param text['body'] must be 1 to {TEXT_MAX} characters")
    return body
