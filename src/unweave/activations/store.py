"""Activation files: one HDF5 file per model, corpus and site, read in blocks of rows.

    acts/{layer}                        (n, width)   bfloat16 as the bits of a uint16, float16 or float32
    tokens/{id,doc,pos}                 (n,)         int32; doc is the row of the document in its data set
    stats/{layer}/{raw,unit}/mean       (width,)     float64, of the rows and of the rows scaled to unit norm
    stats/{layer}/{raw,unit}/covariance (width, width)
    stats/{layer}                       attribute mean_norm
    root attributes                     schema, what was read, how, and with which versions

Rows are in document order and keep their documents together. Data is in chunks of 256 whole rows with a Fletcher-32
checksum and no compression.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from unweave.activations import layout
from unweave.activations.layout import BFLOAT16, LayoutError, check
from unweave.activations.source import Activations, Statistics
from unweave.errors import UnweaveError


@dataclass(frozen=True)
class StoredTokens:
    """Where n rows of activations come from: integer arrays (n,)."""

    ids: NDArray[np.integer]
    """Token ids."""
    docs: NDArray[np.integer]
    """Row of the document in its data set."""
    positions: NDArray[np.integer]
    """Zero-based position in the document as the model read it."""


def is_finite(x: Tensor) -> bool:
    """Whether x has neither NaN nor infinity; thirty times faster than `x.isfinite().all()` on a CPU."""
    return x.numel() == 0 or all(bool(extreme.isfinite()) for extreme in torch.aminmax(x))


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open an activation file for reading.

    Raises
    ------
    UnweaveError
        if the file is missing, of another schema or layout, truncated or damaged, also when damage shows only while
        reading.
    """
    mend = f"delete it and run `snakemake {path}`"
    try:
        with h5py.File(path, "r", locking=False) as file:
            check(file)
            yield file
    except FileNotFoundError:
        raise UnweaveError(f"{path}: no such activation file: make it with `snakemake {path}`") from None
    except LayoutError as error:
        raise UnweaveError(f"{path}: {error}: {mend}") from None
    except (OSError, KeyError) as error:
        raise UnweaveError(f"{path}: truncated or damaged ({str(error).splitlines()[0]}): {mend}") from None


def read_attributes(path: Path) -> dict[str, Any]:
    """Root attributes of an activation file.

    Raises
    ------
    UnweaveError
        as `opened`.
    """
    with opened(path) as file:
        return layout.read_attributes(file)


def require_harvested_from(path: Path, dataset_folder: Path) -> None:
    """Compare the data set that an activation file was harvested from with one on this disk.

    Raises
    ------
    UnweaveError
        if it is another, or as `opened`.
    """
    # Who reads no text need not wait a second for this import.
    from unweave.datasets.stored import hash_dataset

    if read_attributes(path).get("dataset_sha256") != hash_dataset(dataset_folder):
        raise UnweaveError(
            f"{path}: was harvested from another version of {dataset_folder}: delete it and run `snakemake {path}`"
        )


def read_tokens(path: Path) -> StoredTokens:
    """Token ids, documents and positions of the rows of an activation file.

    Raises
    ------
    UnweaveError
        as `opened`.
    """
    with opened(path) as file:
        tokens = file["tokens"]
        return StoredTokens(tokens["id"][:], tokens["doc"][:], tokens["pos"][:])


def read_statistics(path: Path, layer: int | None, n: int, *, row_norm: bool) -> Statistics:
    """Moments of one layer, of the rows or of the rows scaled to unit norm, for n rows.

    Raises
    ------
    UnweaveError
        as `opened`.
    """
    with opened(path) as file:
        stored = file[f"stats/{layer}"]
        moments = stored["unit" if row_norm else "raw"]
        return Statistics(n, moments["mean"][:], moments["covariance"][:], float(stored.attrs["mean_norm"]))


class StoredActivations(Activations):
    """One layer of an activation file.

    Raises
    ------
    UnweaveError
        if the file lacks the layer, or as `opened`.
    """

    def __init__(self, path: Path, layer: int) -> None:
        self.path = path
        self.layer = layer
        with opened(path) as file:
            layers = sorted(int(name) for name in file["acts"])
            if layer not in layers:
                known = ", ".join(map(str, layers))
                raise UnweaveError(
                    f"{path}: has no layer {layer}, only {known}: add it to the layers that are harvested"
                )
            self.n, self.d = file[f"acts/{layer}"].shape
            self.site = str(layout.read_attributes(file).get("site", ""))

    @override
    def slices(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Tensor]:
        with opened(self.path) as file:
            rows = file[f"acts/{self.layer}"]
            is_bfloat16 = layout.read_attributes(file)["stored_dtype"] == BFLOAT16
            for start, stop in ranges:
                block = torch.from_numpy(rows[start:stop])
                yield (block.view(torch.bfloat16) if is_bfloat16 else block).to(torch.float32)

    @override
    def statistics(self, *, row_norm: bool) -> Statistics:
        return read_statistics(self.path, self.layer, self.n, row_norm=row_norm)
