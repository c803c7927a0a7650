"""What all services share.

A service starts anew after each crash, so its libraries are kept from what they would load for nothing: FastAPI asks
for models of pydantic's first version, and structlog for rich, which draws on terminals. It is a sixth of each start.
"""

import sys

sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type]
if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog as structlog

    del sys.modules["rich"]
