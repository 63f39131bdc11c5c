"""Corpora whose activations are not stored: a file of their tokens, from which a fit computes what it reads.

The activations of 300 million tokens fill terabytes; their tokens fill 4 GB. Such a file is an activation file without
`acts`, with the moments of the first `MOMENT_ROWS` rows, and with

    documents/start     (D,)        first row of each document
    documents/dropped   (D, drop)   its leading tokens that are context only and have no row
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from unweave.activations.documents import Document
from unweave.activations.harvest import Job, attributes_of, planned
from unweave.activations.layout import SCHEMA, write_attributes
from unweave.activations.reading import check_finite, read_part, rows_of
from unweave.activations.source import Activations, Statistics
from unweave.activations.statistics import StatisticsAccumulator
from unweave.activations.store import opened, read_attributes, read_statistics
from unweave.activations.writer import write_statistics
from unweave.config import CorpusSettings, HarvestSettings
from unweave.errors import UnweaveError
from unweave.files import MANIFEST, sha256_of, staged_file
from unweave.models.hook_points import HookPoint, width
from unweave.models.language_model import load_language_model
from unweave.progress import meter

log = logging.getLogger(__name__)
MOMENT_ROWS = 262_144
"""Rows whose mean and covariance stand for those of all: a covariance of d = 4096 is then known to about 1 %."""
DOCUMENTS_AT_ONCE = 2048
CHUNK_ROWS = 65536


def index_tokens(
    model_folder: Path,
    dataset_folder: Path,
    corpus: CorpusSettings,
    settings: HarvestSettings,
    outputs: Mapping[str, Path],
    device: torch.device,
    description: Mapping[str, Any],
) -> None:
    """Write one token file for each of `settings.sites`, which `outputs` maps to paths.

    Raises
    ------
    UnweaveError
        as `unweave.activations.harvest.harvest`, or if outliers are to be dropped.
    """
    job, plan = planned(model_folder, dataset_folder, corpus, settings, outputs, device)
    if job.settings.max_norm_ratio is not None:
        raise UnweaveError(
            f"{corpus.dataset}: which tokens are outliers is known only after reading them: set `keep_outliers`"
        )
    moments = _moments(job)
    attributes = {"schema": SCHEMA, "recomputed": True, **attributes_of(job, plan, description, 0)}
    for site, path in outputs.items():
        layers = job.settings.layers_of(site)  # type: ignore[arg-type]
        with staged_file(path) as partial, h5py.File(partial, "w", libver="v110") as file:
            size = width(job.model, site)  # type: ignore[arg-type]
            write_attributes(file, attributes | {"site": site, "layers": layers, "width": size})
            _write_tokens(job, file)
            for layer in layers:
                write_statistics(file, layer, moments[HookPoint(site, layer)])  # type: ignore[arg-type]


def _moments(job: Job) -> dict[HookPoint, StatisticsAccumulator]:
    """Moments of the first rows at every point."""
    accumulators: dict[HookPoint, StatisticsAccumulator] = {}
    wanted = min(MOMENT_ROWS, job.count_rows())
    read = 0
    with meter(f"{job.title}: moments", wanted, 0) as advance:
        for documents in _groups(job.documents(), DOCUMENTS_AT_ONCE):
            part = read_part(job.model, documents, job.settings, advance)
            part = part[: wanted - read]
            check_finite(part)
            for point, rows in part.activations.items():
                accumulators.setdefault(point, StatisticsAccumulator(rows.shape[1])).add_batch(rows.float())
            read += len(part)
            if read >= wanted:
                break
    if not read:
        raise UnweaveError(
            f"{job.corpus.dataset}: no document is longer than the {job.settings.drop_positions} dropped positions: "
            "choose other documents or lower `drop_positions`"
        )
    return accumulators


def _groups(documents: Iterator[Document], size: int) -> Iterator[list[Document]]:
    """Divide documents into lists of `size` consecutive ones, the last one shorter."""
    group: list[Document] = []
    for document in documents:
        group.append(document)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _within_budget(job: Job) -> Iterator[Document]:
    """Documents that have rows, the last one cut where the corpus has as many tokens as it asks for.

    A document that is cut gives the same activations: no token depends on a later one.
    """
    drop, missing = job.settings.drop_positions, job.corpus.tokens
    for document in job.documents():
        ids = document.ids if missing is None else document.ids[: drop + missing]
        if len(ids) > drop:
            yield Document(document.row, ids)
            missing = None if missing is None else missing - (len(ids) - drop)
        if missing == 0:
            break


def _write_tokens(job: Job, file: h5py.File) -> None:
    """Write where each document begins, and the tokens of its rows."""
    drop, total = job.settings.drop_positions, 0
    with meter(f"{job.title}: tokens", job.count_rows(), 0) as advance:
        for documents in _groups(_within_budget(job), DOCUMENTS_AT_ONCE):
            counts = np.array([len(document.ids) - drop for document in documents])
            starts = total + np.cumsum(counts) - counts
            within = np.arange(total, total + counts.sum()) - np.repeat(starts, counts)
            _append(file, "documents/start", starts)
            if drop:
                _append(file, "documents/dropped", np.array([document.ids[:drop] for document in documents], np.int32))
            _append(file, "tokens/id", np.concatenate([np.array(doc.ids[drop:], np.int32) for doc in documents]))
            _append(file, "tokens/doc", np.repeat(np.array([document.row for document in documents], np.int32), counts))
            _append(file, "tokens/pos", (drop + within).astype(np.int32))
            total += int(counts.sum())
            advance(int(counts.sum()))
    log.info("%s: %s tokens, whose activations are computed when they are read", job.title, f"{total:,}")


def _append(file: h5py.File, name: str, values: NDArray[Any]) -> None:
    if name not in file:
        file.create_dataset(
            name,
            (0, *values.shape[1:]),
            values.dtype,
            maxshape=(None, *values.shape[1:]),
            chunks=(CHUNK_ROWS, *values.shape[1:]),
            fletcher32=True,
        )
    rows = file[name]
    rows.resize(len(rows) + len(values), axis=0)
    rows[len(rows) - len(values) :] = values


class RecomputedActivations(Activations):
    """One layer of a token file: every read runs the model on the documents of the rows.

    Raises
    ------
    UnweaveError
        if the file is damaged or lacks the layer, or `model_folder` is not the model that it was made with.
    """

    def __init__(self, path: Path, layer: int, model_folder: Path, device: torch.device) -> None:
        attributes = read_attributes(path)
        if layer not in np.atleast_1d(attributes["layers"]):
            raise UnweaveError(f"{path}: has no layer {layer}: add it to the layers that are harvested")
        if attributes["model_sha256"] != sha256_of(model_folder / MANIFEST):
            raise UnweaveError(f"{path}: was made with another model than {model_folder}: delete it and run again")
        self.path, self.layer, self.site = path, layer, str(attributes["site"])
        self.d = int(attributes["width"])
        stored = HarvestSettings.model_validate(json.loads(attributes["settings"]))
        self._settings = stored.model_copy(
            update={"sites": [self.site], "layers": [layer], "layers_at": {}, "max_norm_ratio": None}
        )
        dtype = getattr(torch, attributes["compute_dtype"])
        self._model = load_language_model(model_folder, dtype, device).model
        with opened(path) as file:
            self._starts = file["documents/start"][:]
            self.n = len(file["tokens/id"])

    @override
    def slices(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Tensor]:
        for group in self._together(ranges):
            with opened(self.path) as file:
                wanted = [self._documents(file, start, stop) for start, stop in group]
            documents = [document for _, some in wanted for document in some]
            rows = next(iter(read_part(self._model, documents, self._settings).activations.values()))
            end = 0
            for (start, stop), (first, some) in zip(group, wanted, strict=True):
                begin = end + start - first
                end += sum(rows_of(document, self._settings) for document in some)
                yield rows[begin : begin + stop - start].float()

    def _together(self, ranges: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        """Ranges that fill a few batches of the model, so that it does not run on short ones."""
        group: list[tuple[int, int]] = []
        for pair in ranges:
            group.append(pair)
            if sum(stop - start for start, stop in group) >= 4 * self._settings.batch_tokens:
                yield group
                group = []
        if group:
            yield group

    def _documents(self, file: h5py.File, start: int, stop: int) -> tuple[int, list[Document]]:
        """Documents that hold rows `start` to `stop`, and the first row of the first of them."""
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop, side="left"))
        bounds = np.append(self._starts, self.n)[first : last + 1]
        ids = file["tokens/id"][bounds[0] : bounds[-1]]
        pieces = np.split(ids, bounds[1:-1] - bounds[0])
        if "dropped" in file["documents"]:
            pieces = [np.append(*pair) for pair in zip(file["documents/dropped"][first:last], pieces, strict=True)]
        return int(bounds[0]), [Document(first + i, piece.tolist()) for i, piece in enumerate(pieces)]

    @override
    def statistics(self, *, row_norm: bool) -> Statistics:
        return read_statistics(self.path, self.layer, self.n, row_norm=row_norm)
