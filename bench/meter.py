"""What each process of a stack spent."""

from contextlib import suppress
from dataclasses import dataclass, field

import psutil
from rich.table import Table

from salur.stack.home import Home
from salur.stack.state import State


@dataclass(slots=True)
class Meter:
    """CPU seconds and the most memory of each process since it was made."""

    home: Home
    before: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.before = self._cpu()

    def look(self) -> None:
        """Memory is that of the moments at which somebody looked."""
        self._cpu()

    def spent_us(self, recipients: int) -> dict[str, float]:
        """By process, in µs a recipient."""
        spent = {name: cpu - self.before.get(name, 0.0) for name, cpu in self._cpu().items()}
        return {name: round(cpu / recipients * 1e6, 1) for name, cpu in sorted(spent.items(), key=lambda one: -one[1])}

    def table(self, recipients: int) -> Table:
        table = Table("process", "µs a recipient", "most memory", box=None)
        for name, cost_us in self.spent_us(recipients).items():
            table.add_row(name, f"{cost_us:,.0f}", f"{self.memory[name] / 1e6:.0f} MB")
        return table

    def _cpu(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for record in (State.load(self.home.state) or State()).processes:
            if record.pid is None:
                continue
            with suppress(psutil.NoSuchProcess):
                main = psutil.Process(record.pid)
                ended = main.cpu_times()
                name = f"{record.name}-{record.instance}"
                self.memory[name] = max(self.memory.get(name, 0), main.memory_info().rss)
                spent = ended.user + ended.system + ended.children_user + ended.children_system
                for child in main.children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        times = child.cpu_times()
                        spent += times.user + times.system
                found[name] = spent
        return found
