"""What tests of keys have in common."""

from shared.privacy import Keyring

R1, R2 = "r-" + "1a" * 16, "r-" + "2b" * 16
SCHEMA = "account.v1"
NOTHING_DEPENDS: dict[str, int] = {}


def look_now(keyring: Keyring) -> None:
    """As if the time had come at which it looks whether its file has changed."""
    keyring._look_again_at = 0.0
