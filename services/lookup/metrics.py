"""What this process counts."""

from prometheus_client import Counter

LOOKUPS = Counter("salur_lookups", "Look-ups of a recipient's id by NIK", ["answer"])
