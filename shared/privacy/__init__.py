"""Who may read what: ids that tell nothing, submissions and values sealed for a purpose, and what logs may show."""

from shared.errors import CannotOpen, Erased, KeyInUse, KeyMissing
from shared.privacy.hpke import SealedSubmission, open_submission, seal_submission
from shared.privacy.identity import family_id, recipient_id
from shared.privacy.keyring import Keyring
from shared.privacy.scrub import scrub_errors, scrub_event_dict, scrub_text
from shared.privacy.sealed import PURPOSES, Purpose, Sealed

__all__ = [
    "PURPOSES",
    "CannotOpen",
    "Erased",
    "KeyInUse",
    "KeyMissing",
    "Keyring",
    "Purpose",
    "Sealed",
    "SealedSubmission",
    "family_id",
    "open_submission",
    "recipient_id",
    "scrub_errors",
    "scrub_event_dict",
    "scrub_text",
    "seal_submission",
]
