"""The signing key: made on the first start and kept, so that tokens outlive a restart."""

import json
import os
from pathlib import Path

from joserfc.jwk import ECKey

ALGORITHM = "ES256"


def signing_key(folder: Path) -> ECKey:
    """The key in `folder`, made now where there is none; only its owner can read the file."""
    path = folder / "signing-key.json"
    if path.exists():
        return ECKey.import_key(json.loads(path.read_text("utf-8")))
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, private=True, auto_kid=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(key.as_dict(private=True), file)
    return key
