"""One pass of a model over a corpus, which stores activations of all wanted layers and sites.

Documents are read in stored order, in parts of at least `PART_ROWS` rows; inside a part they are batched by length.
Padding is on the right, where the real tokens of a causal model do not see it. Every finished part is kept until the
activation files are complete, so a harvest that was killed goes on after its last part and ends with the same bytes.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from unweave.activations.documents import Document, adds_bos, select_rows, tokenised
from unweave.activations.parts import Checkpoint, PartFolder
from unweave.activations.reading import check_finite, read_part, rows_of, stored_points, without_outliers
from unweave.activations.writer import write_store
from unweave.config import CorpusSettings, HarvestSettings
from unweave.datasets.stored import hash_dataset, load_dataset
from unweave.errors import UnweaveError
from unweave.files import MANIFEST, require_free_space, sha256_of
from unweave.models.hook_points import HookPoint, block_at, width
from unweave.models.language_model import LanguageModel, load_language_model, preferred_dtype
from unweave.progress import meter

log = logging.getLogger(__name__)
PART_ROWS = 16384
PACKAGES = ("datasets", "h5py", "numpy", "tokenizers", "torch", "transformers")


def harvest(
    model_folder: Path,
    dataset_folder: Path,
    corpus: CorpusSettings,
    settings: HarvestSettings,
    outputs: Mapping[str, Path],
    device: torch.device,
    description: Mapping[str, Any],
) -> None:
    """Write one activation file for each of `settings.sites`, which `outputs` maps to paths.

    `description` (the model and corpus by their registry names) becomes a root attribute.

    Raises
    ------
    UnweaveError
        if an input is missing or damaged, the model lacks a layer, the disk is too small, or a number does not fit into
        the stored dtype.
    """
    job, plan = planned(model_folder, dataset_folder, corpus, settings, outputs, device)
    settings = job.settings
    first = outputs[settings.sites[0]]
    parts = PartFolder(first.with_name(f".{first.name}.parts"), plan)
    _add_parts(job, parts)
    provenance = attributes_of(job, plan, description, parts.reached.outliers)
    tokens = parts.tokens()
    for site in settings.sites:
        layers = settings.layers_of(site)
        log.info("%s: writing %s rows of %d layers", outputs[site], f"{len(tokens.ids):,}", len(layers))
        rows = {layer: parts.rows(HookPoint(site, layer)) for layer in layers}
        dtype = getattr(torch, settings.store_dtype)
        attributes = {**provenance, "site": site, "layers": layers}
        write_store(outputs[site], attributes, tokens, width(job.model, site), dtype, rows)
    parts.remove()


@dataclass(frozen=True)
class Job:
    """What is read by which model, and how."""

    language_model: LanguageModel
    dataset: datasets.Dataset
    selection: NDArray[np.int64]
    """Rows of the data set that may be read, in order."""
    corpus: CorpusSettings
    settings: HarvestSettings

    @property
    def model(self) -> PreTrainedModel:
        """The transformers model."""
        return self.language_model.model

    @property
    def layers(self) -> list[int]:
        """Harvested layers, ascending."""
        return sorted(set(self.settings.layers))

    @property
    def title(self) -> str:
        """What log lines call the job."""
        return f"{self.language_model.name} reads {self.corpus.dataset}"

    def documents(self, start: int = 0) -> Iterator[Document]:
        """Tokenised documents from place `start` of the selection on."""
        return tokenised(self.dataset, self.selection[start:], self.language_model.tokenizer, self.corpus.context)

    def check(self) -> None:
        """Raise UnweaveError if the model lacks a layer or cannot read that far."""
        for layer in self.layers:
            block_at(self.model, layer)
        longest = self.model.config.max_position_embeddings
        if self.corpus.context > longest:
            raise UnweaveError(f"context: {self.language_model.name} reads at most {longest} tokens: lower it to that")

    def count_rows(self) -> int:
        """How many rows there will be: an upper bound with a token budget or outliers, exact otherwise."""
        if self.corpus.tokens is not None:
            return min(self.corpus.tokens, len(self.selection) * self.corpus.context)
        return sum(rows_of(document, self.settings) for document in self.documents())

    def row_bytes(self) -> int:
        """Bytes of one token: its activations and its id, document and position."""
        size: int = getattr(torch, self.settings.store_dtype).itemsize
        return 12 + size * sum(width(self.model, point.site) for point in stored_points(self.settings))


def planned(
    model_folder: Path,
    dataset_folder: Path,
    corpus: CorpusSettings,
    settings: HarvestSettings,
    outputs: Mapping[str, Path],
    device: torch.device,
) -> tuple[Job, dict[str, Any]]:
    """Load what is read and say all that decides what is stored.

    Raises
    ------
    UnweaveError
        if `outputs` are not those of the settings, an input is missing or damaged, or the model lacks a layer.
    """
    if set(outputs) != set(settings.sites):
        raise UnweaveError(f"outputs: name sites {', '.join(outputs)}, but {', '.join(settings.sites)} are harvested")
    dataset = load_dataset(dataset_folder)
    selection = select_rows(dataset, corpus)
    dtype = preferred_dtype(settings.compute_dtype, device)
    if corpus.keep_outliers:
        settings = settings.model_copy(update={"max_norm_ratio": None})
    if corpus.keep_first:
        settings = settings.model_copy(update={"drop_positions": 0})
    job = Job(load_language_model(model_folder, dtype, device), dataset, selection, corpus, settings)
    job.check()
    plan = {
        "model_sha256": sha256_of(model_folder / MANIFEST),
        "dataset_sha256": hash_dataset(dataset_folder),
        "corpus": corpus.model_dump(mode="json"),
        "settings": settings.model_dump(mode="json"),
        "compute_dtype": str(dtype).removeprefix("torch."),
        "device": device.type,
        "part_rows": PART_ROWS,
        "versions": {package: version(package) for package in PACKAGES},
    }
    return job, plan


def _add_parts(job: Job, parts: PartFolder) -> None:
    """Read documents until they end or there are as many rows as the corpus asks for."""
    total, resumed = job.count_rows(), parts.reached.rows
    # The parts and the files that are made from them exist side by side for a moment.
    require_free_space(parts.folder.parent, max(0, 2 * total * job.row_bytes() - parts.size()), job.title)
    if resumed:
        log.info("%s: %s tokens are there from an interrupted run", job.title, f"{resumed:,}")
    began = time.monotonic()
    with meter(job.title, total, resumed) as advance:
        while add_part(job, parts, advance):
            pass
    seconds, read = time.monotonic() - began, parts.reached.rows - resumed
    log.info("%s: %s tokens in %.0f s, %.0f tokens/s", job.title, f"{read:,}", seconds, read / seconds)
    if not parts.reached.rows:
        raise UnweaveError(
            f"{job.corpus.dataset}: no document is longer than the {job.settings.drop_positions} dropped positions: "
            "choose other documents or lower `drop_positions`"
        )
    if job.corpus.tokens is not None and parts.reached.rows < job.corpus.tokens:
        log.info("%s: the documents end before %s tokens", job.title, f"{job.corpus.tokens:,}")


def add_part(job: Job, parts: PartFolder, advance: Callable[[int], None]) -> bool:
    """Read one more part; false if there is none."""
    settings, reached = job.settings, parts.reached
    missing = None if job.corpus.tokens is None else job.corpus.tokens - reached.rows
    documents = documents_for(job, reached.next_document, PART_ROWS if missing is None else min(PART_ROWS, missing))
    if not documents:
        return False
    part, median_norms = without_outliers(read_part(job.model, documents, settings, advance), settings, reached)
    kept = part[:missing]
    check_finite(kept)
    outliers = reached.outliers + sum(rows_of(document, settings) for document in documents) - len(part)
    place = reached.next_document + len(documents)
    parts.append(kept, Checkpoint(reached.rows + len(kept), outliers, place, median_norms))
    return True


def documents_for(job: Job, start: int, wanted: int) -> list[Document]:
    """Documents from place `start` on until they have `wanted` rows; none if `wanted` is 0 or the rest has no rows."""
    documents: list[Document] = []
    rows = 0
    if wanted:
        for document in job.documents(start):
            documents.append(document)
            rows += rows_of(document, job.settings)
            if rows >= wanted:
                break
    return documents if rows else []


def attributes_of(job: Job, plan: Mapping[str, Any], description: Mapping[str, Any], outliers: int) -> dict[str, Any]:
    """Root attributes that say what was read and how; `outliers` is the number of tokens that were left out."""
    return {
        "model": job.language_model.name,
        "model_revision": job.language_model.revision,
        "model_sha256": plan["model_sha256"],
        "dataset": job.corpus.dataset,
        "dataset_sha256": plan["dataset_sha256"],
        "corpus": json.dumps(plan["corpus"], sort_keys=True),
        "settings": json.dumps(plan["settings"], sort_keys=True),
        "versions": json.dumps(plan["versions"], sort_keys=True),
        "compute_dtype": plan["compute_dtype"],
        "device": plan["device"],
        "context": job.corpus.context,
        "adds_bos": adds_bos(job.language_model.tokenizer),
        "drop_positions": job.settings.drop_positions,
        "max_norm_ratio": job.settings.max_norm_ratio or float("inf"),
        "dropped_outliers": outliers,
        "description": json.dumps(description, sort_keys=True),
    }
