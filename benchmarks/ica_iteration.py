"""Time and memory of one FastICA iteration against scikit-learn, paired in one run on random sparse mixtures.

    python benchmarks/ica_iteration.py --tokens 80000 --width 576 --threads 2

Both run the same mathematics in float32: symmetric FastICA with the log-cosh contrast. scikit-learn's time of one
iteration is the difference of two fits that differ in their number of iterations, so that whitening does not count. The
two alternate; the ratio is the median over repetitions. Ours also computes the contrast curve in every iteration,
which scikit-learn does not. Memory is the peak above the input, each in a process of its own (Linux only).
"""

import argparse
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import FastICA
from threadpoolctl import threadpool_limits

from unweave.activations.memory import InMemoryActivations
from unweave.methods import ica
from unweave.methods.ica.contrasts import CONTRASTS
from unweave.methods.ica.fixed_point import initial_rotation, step
from unweave.methods.ica.whitening import WhitenedRows, whitening

CPU = torch.device("cpu")


def sparse_mixture(n: int, d: int) -> InMemoryActivations:
    """Mix sources that are Laplacian one time in ten, and zero otherwise, by random directions of 10 to 1 in scale."""
    generator = np.random.default_rng(0)
    directions, _ = np.linalg.qr(generator.standard_normal((d, d), dtype=np.float32))
    mixing = directions * np.geomspace(10, 1, d, dtype=np.float32)
    x = torch.empty(n, d)
    for block in x.split(8192):
        sources = generator.laplace(size=block.shape) * (generator.random(block.shape) < 0.1)
        block.copy_(torch.from_numpy(sources.astype(np.float32) @ mixing))
    return InMemoryActivations(x)


def peer(activations: InMemoryActivations, iterations: int) -> None:
    """Fit with scikit-learn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of the iterations that were asked for
        FastICA(whiten="unit-variance", whiten_solver="eigh", max_iter=iterations, tol=0, random_state=0).fit(
            activations.rows().numpy()
        )


def ours(activations: InMemoryActivations, iterations: int) -> None:
    """Fit with unweave."""
    ica.fit(activations, ica.Settings(iterations=iterations), 0, CPU)


def seconds_of_iterations(
    activations: InMemoryActivations, iterations: int, repetitions: int
) -> list[tuple[float, float]]:
    """(scikit-learn, ours) seconds of one iteration, measured in turn."""

    def elapsed(run: Callable[..., None], *arguments: object) -> float:
        start = time.perf_counter()
        run(*arguments)
        return time.perf_counter() - start

    rows = WhitenedRows(
        activations,
        whitening(activations.statistics(row_norm=False), None, CPU),
        row_norm=False,
        memory_gb=np.inf,
        device=CPU,
    )
    rotation = initial_rotation(activations.d, 0, CPU)

    def steps() -> None:
        for _ in range(iterations):
            step(rows.blocks(), rotation, CONTRASTS["logcosh"])

    step(rows.blocks(), rotation, CONTRASTS["logcosh"])
    pairs = []
    for _ in range(repetitions):
        theirs = elapsed(peer, activations, 1 + iterations) - elapsed(peer, activations, 1)
        pairs.append((theirs / iterations, elapsed(steps) / iterations))
    return pairs


def peak_above_input(run: Callable[[InMemoryActivations, int], None], n: int, d: int, threads: int) -> float:
    """Gigabytes that a fit of two iterations needs beyond its input, in this process."""

    def memory(field: str) -> int:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field))

    torch.set_num_threads(threads)
    activations = sparse_mixture(n, d)
    with threadpool_limits(threads):
        run(sparse_mixture(2 * d, d), 1)  # libraries load and start their threads
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = memory("VmRSS")
        run(activations, 2)
    return (memory("VmHWM") - before) * 1024 / 1e9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=80_000)
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=4, help="per measurement")
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    n, d, threads = arguments.tokens, arguments.width, arguments.threads

    torch.set_num_threads(threads)
    activations = sparse_mixture(n, d)
    with threadpool_limits(threads):
        pairs = seconds_of_iterations(activations, arguments.iterations, arguments.repetitions)
    theirs, mine = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"n={n} d={d} threads={threads}: seconds per iteration, scikit-learn {theirs:.3f}, ours {mine:.3f}")
    print(f"ratio {ratio:.2f} (above 1: ours is faster); ours runs at {4 * n * d * d / mine / 1e9:.0f} GF/s")
    if Path("/proc/self/clear_refs").exists():
        context = multiprocessing.get_context("spawn")
        for name, run in (("scikit-learn", peer), ("ours", ours)):
            with context.Pool(1) as pool:
                peak = pool.apply(peak_above_input, (run, n, d, threads))
            print(f"{name}: peak {peak:.2f} GB above an input of {4e-9 * n * d:.2f} GB")


if __name__ == "__main__":
    main()
