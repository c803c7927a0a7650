"""The runtime: exactly-once effects for stages, endpoints and workers.

A stage is one function, `handle(batch, tx) -> events`. Everything else happens here, once, for all services.
"""

from shared.runtime.emit import Outbox, Transaction
from shared.runtime.process import starting
from shared.runtime.service import Service, run
from shared.runtime.stage import Batch, Received, Stage
from shared.runtime.worker import Worker

__all__ = ["Batch", "Outbox", "Received", "Service", "Stage", "Transaction", "Worker", "run", "starting"]
