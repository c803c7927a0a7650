"""A restored database takes in what its own topics say happened since the backup.

What is common to all services is here: own topics are read and proved, dead letters, outbox and output positions set
right, inputs read once more. What the events mean for a service's rows only that service knows: its `Importer`.
"""

from shared.runtime.recovery.importer import Importer, Progress, Silent
from shared.runtime.recovery.own import CannotRecover
from shared.runtime.recovery.recover import Recovered, recover

__all__ = ["CannotRecover", "Importer", "Progress", "Recovered", "Silent", "recover"]
