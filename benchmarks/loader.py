"""Goal P14: reading shuffled batches from an activation file, and writing one."""

import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import torch

from benchmarks.data import FOLDER, LAYER, Data
from benchmarks.goal import Goal, paired, seconds
from benchmarks.sae import Size, our_step, weights
from unweave.activations.batches import Batches
from unweave.activations.layout import read_attributes
from unweave.activations.store import StoredTokens, opened
from unweave.activations.writer import write_store

BATCH = 512
RANDOM_BATCHES = 20
WRITTEN_ROWS = 131_072


def _read_rate(data: Data, epochs: int = 3) -> list[float]:
    """Rows per second of process time, for epochs that are streamed from the file in shuffled batches."""
    batches = Batches(data.resid, BATCH, seed=0, device=torch.device("cpu"), memory_gb=0)
    rates = []
    for epoch in range(epochs):
        start = time.process_time()
        for _ in islice(batches.starting_at(epoch * batches.per_epoch), batches.per_epoch):
            pass
        rates.append(BATCH * batches.per_epoch / (time.process_time() - start))
    return rates


def _random_rows(path: Path) -> None:
    """Read batches of rows drawn one by one, as a map-style data set does with h5py."""
    generator = np.random.default_rng(0)
    with opened(path) as file:
        rows = file[f"acts/{LAYER}"]
        is_bfloat16 = read_attributes(file)["stored_dtype"] == "bfloat16"
        for _ in range(RANDOM_BATCHES):
            chosen = np.sort(generator.choice(len(rows), BATCH, replace=False))
            block = torch.from_numpy(rows[chosen])
            (block.view(torch.bfloat16) if is_bfloat16 else block).to(torch.float32)


def _shuffled_rows(data: Data) -> None:
    batches = Batches(data.resid, BATCH, seed=0, device=torch.device("cpu"), memory_gb=0)
    for _ in islice(batches.starting_at(0), batches.per_epoch):
        pass


def _write_times(data: Data, folder: Path) -> tuple[float, float, float]:
    """Seconds of writing float16 rows: what HDF5 takes for them alone, the whole writer, and bytes written."""
    rows = torch.cat(list(data.resid.slices([(0, WRITTEN_ROWS)]))).to(torch.float16)
    tokens = StoredTokens(*(np.zeros(len(rows), dtype=np.int32) for _ in range(3)))
    size = rows.numel() * rows.element_size()

    def plain() -> None:
        with h5py.File(folder / "plain.h5", "w", libver="v110") as file:
            chunks = (256, rows.shape[1])
            stored = file.create_dataset("acts", tuple(rows.shape), np.float16, chunks=chunks, fletcher32=True)
            for start in range(0, len(rows), 8192):
                stored[start : start + 8192] = rows[start : start + 8192].numpy()

    def whole() -> None:
        write_store(folder / "store.h5", {}, tokens, rows.shape[1], torch.float16, {0: rows.split(8192)})

    plain()
    return min(seconds(plain) for _ in range(3)), min(seconds(whole) for _ in range(2)), size


def goals(data: Data) -> Iterator[Goal]:
    """P14: rows per second, against single rows, as a share of a training step, and the rate of writing."""
    rates = _read_rate(data)
    rate = float(np.median(rates))
    yield Goal(
        goal="P14",
        name="shuffled float32 batches from an activation file, d=576",
        ours=rate,
        peer=None,
        unit="rows per second and core",
        ratio=rate / 0.4e6,
        target=1.0,
        stretch=1.5,
        pairs=len(rates),
        spread=(min(rates) / 0.4e6, max(rates) / 0.4e6),
        note="ratio is to 0.4 million; streamed (memory_gb = 0), 64 chunks of 1024 rows shuffled together",
    )
    path = FOLDER / "resid.h5"
    times = paired(lambda: _shuffled_rows(data), lambda: _random_rows(path))
    ours = times.ours / (data.resid.n // BATCH)
    theirs = times.peer / RANDOM_BATCHES
    per_row = (data.resid.n // BATCH) / RANDOM_BATCHES
    yield Goal(
        goal="P14",
        name="the same against random rows read with h5py",
        ours=BATCH / ours,
        peer=BATCH / theirs,
        unit="rows per second",
        ratio=times.ratio * per_row,
        target=20.0,
        pairs=times.pairs,
        spread=(times.spread[0] * per_row, times.spread[1] * per_row),
    )
    size = Size(4608, BATCH, 1)
    x = next(Batches(data.resid, BATCH, 0, torch.device("cpu"), memory_gb=0).starting_at(0)).x
    step = our_step(weights(size, data.resid.d), x, "bfloat16")
    step()
    one = float(np.median([seconds(step) for _ in range(7)]))
    yield Goal(
        goal="P14",
        name="reading as a share of a training step (TopK, F=4608, B=512, bfloat16 encoder)",
        ours=1e3 * ours,
        peer=1e3 * one,
        unit="ms per batch",
        ratio=ours / one,
        target=0.05,
        larger_is_better=False,
    )
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        plain, whole, size_bytes = _write_times(data, Path(folder))
    yield Goal(
        goal="P14",
        name="writing float16 rows with checksums",
        ours=1e-9 * size_bytes / plain,
        peer=None,
        unit="GB/s",
        ratio=1e-9 * size_bytes / plain / 1.5,
        target=1.0,
        note=f"ratio is to 1.5 GB/s; with statistics and reading back all of it {1e-9 * size_bytes / whole:.2f} GB/s",
    )
