"""One thing that must be recovered where the answer is known."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of benchmarks/truth.json."""

    name: str
    """What was planted and what was measured."""
    value: float
    lowest: float | None = None
    """Smallest value that passes; None where there is no lower bound."""
    highest: float | None = None
    seeds: int = 1
    """Over how many seeds `value` is the worst."""
    source: str = ""
    """Where the bound comes from."""
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the value lies within its bounds."""
        above = self.lowest is None or self.value >= self.lowest
        below = self.highest is None or self.value <= self.highest
        return bool(above and below)

    def record(self) -> dict[str, Any]:
        """Return what truth.json holds of it."""
        return {**asdict(self), "passed": self.passed}
