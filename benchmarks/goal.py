"""One measured goal, and how two implementations are timed against each other.

The machines are noisy, so both sides run in one process in turn and what counts is the median of the ratios of pairs.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

MIN_PAIRS = 5


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One line of benchmarks/results.json."""

    goal: str
    """Number of the goal: P1, P2, ..."""
    name: str
    ours: float
    peer: float | None
    """What the other side reached, in `unit`; None where the goal is about us alone."""
    unit: str
    ratio: float
    """How many times better we are (or the share of a bound that we reach): the number that the target is about."""
    target: float
    larger_is_better: bool = True
    """Whether `ratio` must be at least `target`, or at most."""
    stretch: float | None = None
    floor: float | None = None
    """What this machine could do at best, in `unit`: the dense matrix products alone at their measured rate."""
    pairs: int = 1
    spread: tuple[float, float] | None = None
    """Smallest and largest ratio of a pair."""
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.ratio >= self.target if self.larger_is_better else self.ratio <= self.target

    def record(self) -> dict[str, Any]:
        """Return what results.json holds of it."""
        return {**asdict(self), "met": self.met}


@dataclass(frozen=True)
class Paired:
    """Times of two sides that ran in turn."""

    ours: float
    """Median seconds."""
    peer: float
    ratio: float
    """Median of peer / ours over the pairs."""
    spread: tuple[float, float]
    pairs: int


def seconds(run: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def paired(ours: Callable[[], object], peer: Callable[[], object], pairs: int = MIN_PAIRS) -> Paired:
    """Time both in turn, after one untimed call of each."""
    ours()
    peer()
    times = []
    for index in range(pairs):
        if index % 2:
            theirs = seconds(peer)
            times.append((seconds(ours), theirs))
        else:
            mine = seconds(ours)
            times.append((mine, seconds(peer)))
    ratios = [theirs / mine for mine, theirs in times]
    return Paired(
        ours=statistics.median(mine for mine, _ in times),
        peer=statistics.median(theirs for _, theirs in times),
        ratio=statistics.median(ratios),
        spread=(min(ratios), max(ratios)),
        pairs=pairs,
    )
