"""Messages to recipients. Their text is never on a topic."""

from typing import ClassVar, Literal

from pydantic import Field

from shared.events.model import Code, Data, Revision


class _Notification(Data):
    """One message: at most one per recipient, purpose and channel."""

    message_id: str
    purpose: str = Field(description="What it tells: `decision:…` or `payout:…`")
    channel: Literal["whatsapp", "sms"]
    template: str
    revision: Revision


class NotificationSent(_Notification):
    """The carrier has taken the message."""

    TYPE: ClassVar[str] = "notification.sent"


class NotificationDelivered(_Notification):
    """The message is on the phone."""

    TYPE: ClassVar[str] = "notification.delivered"


class NotificationFailed(_Notification):
    """The message will not arrive on this channel."""

    TYPE: ClassVar[str] = "notification.failed"

    code: Code


class NotificationUnknown(_Notification):
    """Nobody knows whether the carrier took it; it is not sent again, and a webhook may still tell."""

    TYPE: ClassVar[str] = "notification.unknown"
