"""What each process of a stack spent, and what the machine's host kept from all of them."""

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
    machine_before: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        self.before = self._cpu()
        self.machine_before = _machine()

    def look(self) -> None:
        """Memory is that of the moments at which somebody looked."""
        self._cpu()

    def spent_us(self, recipients: int) -> dict[str, float]:
        """By process, in µs a recipient."""
        spent = {name: cpu - self.before.get(name, 0.0) for name, cpu in self._cpu().items()}
        return {name: round(cpu / recipients * 1e6, 1) for name, cpu in sorted(spent.items(), key=lambda one: -one[1])}

    def stolen_percent(self) -> float:
        """Of the machine's CPU time, what a host gave to other machines: with more than a few, a run says little."""
        stolen, passed = (after - before for after, before in zip(_machine(), self.machine_before, strict=True))
        return round(100 * stolen / passed, 1)

    def table(self, recipients: int) -> Table:
        stolen = f"{self.stolen_percent()} % of the CPU went to other machines"
        table = Table("process", "µs a recipient", "most memory", box=None, caption=stolen, caption_justify="left")
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


def _machine() -> tuple[float, float]:
    """CPU seconds since it was started: stolen from it, and all."""
    times = psutil.cpu_times()
    return getattr(times, "steal", 0.0), sum(times)
