"""An upstream system: reads files of registrations or flags, seals them, publishes them, and collects the answers.

It uses nothing that another upstream system could not have: the contract, the registry's public key, the token of a
source and the broker's address.
"""

from salur.intake.submit import Options, Progress, Summary, submit
from salur.intake.upstream import Upstream, find_kafka, find_upstream

__all__ = ["Options", "Progress", "Summary", "Upstream", "find_kafka", "find_upstream", "submit"]
