"""The whole flow under random faults, compared with a run that nobody disturbed: `salur chaos`."""

from salur.chaos.outcome import Outcome
from salur.chaos.run import Plan, Telling, run

__all__ = ["Outcome", "Plan", "Telling", "run"]
