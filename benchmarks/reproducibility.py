"""Whether a fit gives the same numbers again: in a second process, and with another number of threads.

`python -m benchmarks.reproducibility` fits each method to the same planted activations in processes of their own and
compares the atoms. Writes benchmarks/reproducibility.json.
"""

import hashlib
import json
import os
import subprocess
import sys

from unweave.config import PROJECT
from unweave.files import write_json

N, D = 20_000, 128
FITS = {
    "ica": {"iterations": 30},
    "pca": {},
    "kmeans": {"n_features": 64},
    "bae": {"tokens": 60_000},
    "snmf": {"n_features": 32, "iterations": 30},
    "sae": {"expansion": 4, "tokens": 60_000, "batch_size": 1024},
    "sasa": {
        "groups": 64,
        "group_size": 4,
        "active_groups": 4,
        "tokens": 60_000,
        "batch_size": 1024,
        "warmup_steps": 5,
    },
}
CODE = """
import json, sys
import torch
from unweave.library import fit
method, settings, n, d = json.loads(sys.argv[1])
generator = torch.Generator().manual_seed(0)
x = torch.randn(n, d, generator=generator).pow(3) @ torch.randn(d, d, generator=generator) / d**0.5
atoms = fit(x, method, **settings).atoms.double()
sys.stdout.buffer.write(atoms.numpy().tobytes())
"""


def output_of(code: str, argument: str, *, threads: int, packages: str = "") -> bytes:
    """Run code in a process of its own and return what it writes; packages of the folder `packages` come first."""
    path = os.pathsep.join(filter(None, [packages, str(PROJECT / "src")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", code, argument]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout


def atoms(method: str, threads: int, packages: str = "") -> bytes:
    """Atoms of a fit, as bytes of float64."""
    return output_of(CODE, json.dumps([method, FITS[method], N, D]), threads=threads, packages=packages)


def compared(one: bytes, other: bytes, width: int = D) -> dict[str, float]:
    """Largest difference of a coordinate, relative to the largest one, and the least cosine of a row with itself."""
    import numpy as np

    a, b = (np.frombuffer(part).reshape(-1, width) for part in (one, other))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines = (a * b).sum(axis=1) / np.where(norms > 0, norms, 1)
    return {
        "largest_difference": float(np.abs(a - b).max() / np.abs(a).max()),
        "least_cosine": float(cosines[norms > 0].min()),
        "median_cosine": float(np.median(cosines[norms > 0])),
    }


def main() -> None:
    """Fit, compare and keep."""
    results = {}
    for method in FITS:
        once, again, threaded = atoms(method, 1), atoms(method, 1), atoms(method, 2)
        results[method] = {
            "same_bytes_again": hashlib.sha256(once).digest() == hashlib.sha256(again).digest(),
            "two_threads": compared(once, threaded),
        }
        print(method, results[method], flush=True)
    write_json(PROJECT / "benchmarks/reproducibility.json", results)


if __name__ == "__main__":
    main()
