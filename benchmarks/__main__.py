"""Run the benchmarks, print their ratios and write benchmarks/results.json.

    python -m benchmarks              # all
    python -m benchmarks sae sasa     # these, keeping what results.json holds of the others

Every module runs in a process of its own. It needs the peers' environment, or for `evaluations` that of `make golden`
(`make benchmark` makes both), and the harvested activations of config/benchmark.yaml.
"""

import argparse
import json
import multiprocessing
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import gemm_rate
from benchmarks.measure import measure

MODULES = ("ica", "snmf", "bae", "sae", "sasa", "loader", "steering")
BESIDE_SAE_BENCH = ("evaluations",)
RESULTS = Path(__file__).with_name("results.json")
PEERS = (
    "icalens",
    "scikit-learn",
    "python-picard",
    "dictionary-learning",
    "sae-lens",
    "eai-sparsify",
    "sae-bench",
)


def installed(name: str) -> bool:
    """Whether this environment holds a distribution."""
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def machine() -> dict[str, Any]:
    """Return what the numbers depend on."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gemm_gflops": {
            name: round(gemm_rate(4096, 576, 4608, dtype) / 1e9, 1)
            for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
        },
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "versions": {name: version(name) for name in ("torch", "numpy", *PEERS) if installed(name)},
    }


def table(goals: list[dict[str, Any]]) -> Table:
    """One line for each goal."""
    shown = Table("goal", "what", "ours", "peer", "unit", "ratio", "spread", "target", "stretch", "met", "floor")
    for goal in goals:
        low, high = goal["spread"] or (None, None)
        cells = [goal["ours"], goal["peer"], goal["unit"], goal["ratio"]]
        bound = f"{'>=' if goal['larger_is_better'] else '<='} {goal['target']:g}"
        shown.add_row(
            goal["goal"],
            goal["name"],
            *(cell if isinstance(cell, str) else "" if cell is None else f"{cell:.4g}" for cell in cells),
            "" if low is None else f"{low:.2f} to {high:.2f}",
            bound,
            "" if goal["stretch"] is None else f"{goal['stretch']:g}",
            "yes" if goal["met"] else "NO",
            "" if goal["floor"] is None else f"{goal['floor']:.4g}",
        )
    return shown


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", choices=[[], *MODULES, *BESIDE_SAE_BENCH], help="default: all")
    parser.add_argument("--threads", type=int, default=1, help="of torch and BLAS; one is the least noisy")
    arguments = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(arguments.threads)
    torch.set_num_threads(arguments.threads)
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))["modules"] if RESULTS.exists() else {}
    for name in arguments.modules or MODULES:
        started = time.monotonic()
        # Unlike those of a Pool, its processes may start others: memory is measured in a process of its own.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            records = pool.submit(measure, name, arguments.threads).result()
        kept[name] = {"machine": machine(), "seconds": round(time.monotonic() - started), "goals": records}
        RESULTS.write_text(json.dumps({"modules": kept}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    Console(width=200).print(
        table([goal for name in (*MODULES, *BESIDE_SAE_BENCH) if name in kept for goal in kept[name]["goals"]])
    )


if __name__ == "__main__":
    main()
