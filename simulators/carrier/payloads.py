"""The bodies of webhooks, in the shape of the Cloud API's `messages` field."""

from collections.abc import Sequence
from typing import Any

from simulators.carrier.errors import webhook_error
from simulators.carrier.store import Hook

BUSINESS_ACCOUNT_ID = "102290129340398"
DISPLAY_PHONE_NUMBER = "628110007604"


def body(phone_number_id: str, hooks: Sequence[Hook]) -> dict[str, Any]:
    """One POST for hooks of one business number; statuses share `statuses`, replies `messages` and `contacts`."""
    value: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": DISPLAY_PHONE_NUMBER, "phone_number_id": phone_number_id},
    }
    replies = [hook for hook in hooks if hook.status == "reply"]
    if replies:
        value["contacts"] = [{"profile": {"name": f"+{phone}"}, "wa_id": phone} for phone in {r.phone for r in replies}]
        value["messages"] = [_reply(hook) for hook in replies]
    if len(replies) < len(hooks):
        value["statuses"] = [_status(hook) for hook in hooks if hook.status != "reply"]
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": BUSINESS_ACCOUNT_ID, "changes": [{"value": value, "field": "messages"}]}],
    }


def _status(hook: Hook) -> dict[str, Any]:
    status: dict[str, Any] = {
        "id": hook.wamid,
        "status": hook.status,
        "timestamp": str(hook.at),
        "recipient_id": hook.phone,
    }
    if hook.callback_data is not None:
        status["biz_opaque_callback_data"] = hook.callback_data
    if hook.status in ("sent", "delivered"):
        status["pricing"] = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "utility"}
    if hook.error is not None:
        status["errors"] = [webhook_error(hook.error)]
    return status


def _reply(hook: Hook) -> dict[str, Any]:
    return {
        "from": hook.phone,
        "id": hook.wamid,
        "timestamp": str(hook.at),
        "type": "text",
        "text": {"body": hook.text},
    }
