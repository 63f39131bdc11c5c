"""Run one benchmark in a process of its own: a spawned process finds no function of a package's __main__."""

import importlib
from typing import Any

import torch
from rich.console import Console

from benchmarks.data import stored


def measure(name: str, threads: int) -> list[dict[str, Any]]:
    """Return the records of one module, printed as they come."""
    torch.set_num_threads(threads)
    records = []
    for goal in importlib.import_module(f"benchmarks.{name}").goals(stored()):
        records.append(goal.record())
        Console().print(f"{goal.goal} {goal.name}: {goal.ratio:.2f} (target {goal.target:g})", highlight=False)
    return records
