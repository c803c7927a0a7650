"""What this service counts beyond what every process does."""

from prometheus_client import Counter

REQUESTS = Counter("salur_code_requests", "Requests for a code of My aid", ["answer"])
CODES = Counter("salur_codes_issued", "Codes of My aid that were issued", ["way"])
SIGN_INS = Counter("salur_aid_sign_ins", "Codes of My aid that were entered", ["answer"])
PAGES = Counter("salur_portal_pages", "Pages that the portal answered", ["page", "status"])
