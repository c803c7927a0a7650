"""All rules, by who owns the rows."""

from typing import Final

from salur.inside.audit import eligibility, monitor, notify, payout, portal, registry
from salur.inside.audit.agreement import StageRules
from shared.events.topics import Service

RULES: Final[dict[Service, StageRules]] = {
    rules.stage: rules
    for rules in (registry.RULES, eligibility.RULES, payout.RULES, notify.RULES, portal.RULES, monitor.RULES)
}
