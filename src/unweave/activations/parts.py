"""Finished parts of a harvest, kept beside its outputs so that an interrupted one goes on where it stopped."""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from unweave import checked_tensors
from unweave.activations.store import StoredTokens
from unweave.checked_tensors import DamagedFileError
from unweave.errors import UnweaveError
from unweave.files import staged_file, write_json
from unweave.models.hook_points import HookPoint

log = logging.getLogger(__name__)
PLAN = "plan.json"


@dataclass(frozen=True)
class Checkpoint:
    """How far a harvest is after one of its parts."""

    rows: int = 0
    """Rows in this and all earlier parts."""
    outliers: int = 0
    """Rows dropped as outliers in this and all earlier parts."""
    next_document: int = 0
    """Place of the first unread document in the selection."""
    median_norms: tuple[float, ...] = ()
    """Median norm of the residual stream in the first part, by layer, if outliers are dropped."""


@dataclass(frozen=True)
class Part:
    """Rows of consecutive documents in document order: activations (n, width) at each point, and their tokens."""

    activations: dict[HookPoint, Tensor]
    tokens: StoredTokens

    def __len__(self) -> int:
        return len(self.tokens.ids)

    def __getitem__(self, chosen: slice | Tensor) -> Self:
        """Select rows by a slice or a boolean mask (n,)."""
        index = chosen if isinstance(chosen, slice) else chosen.numpy()
        tokens = StoredTokens(self.tokens.ids[index], self.tokens.docs[index], self.tokens.positions[index])
        return type(self)({point: rows[chosen].contiguous() for point, rows in self.activations.items()}, tokens)


def _key(point: HookPoint) -> str:
    return f"{point.site}/{point.layer}"


class PartFolder:
    """Parts 0, 1, 2, ... of one harvest; parts of another plan are thrown away.

    `plan` is everything that determines what the parts hold.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self.folder = folder
        self.checkpoints: list[Checkpoint] = []
        if folder.exists() and self._stored_plan() != plan:
            log.info("%s: holds parts of a harvest with other settings or inputs: starting again", folder)
            self.remove()
        self.plan = plan
        while (path := self._path(len(self.checkpoints))).exists():
            checkpoint = self._sound(path)
            if checkpoint is None:
                log.info("%s: damaged: going on from the parts before it", path)
                break
            self.checkpoints.append(checkpoint)

    def _sound(self, path: Path) -> Checkpoint | None:
        """How far the harvest was after a part; None if the part is damaged."""
        try:
            content = json.loads(checked_tensors.read_metadata(path)["checkpoint"])
            checkpoint = Checkpoint(**{**content, "median_norms": tuple(content["median_norms"])})
            checked_tensors.read(path)
        except (DamagedFileError, ValueError, KeyError, TypeError):
            return None
        return checkpoint

    def _stored_plan(self) -> Any:
        try:
            return json.loads((self.folder / PLAN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _path(self, index: int) -> Path:
        return self.folder / f"part-{index:06d}.safetensors"

    @property
    def reached(self) -> Checkpoint:
        """Where the next part begins."""
        return self.checkpoints[-1] if self.checkpoints else Checkpoint()

    def append(self, part: Part, checkpoint: Checkpoint) -> None:
        """Write the next part; it exists completely or not at all."""
        tensors = {_key(point): rows for point, rows in part.activations.items()}
        for name in ("ids", "docs", "positions"):
            tensors[name] = torch.from_numpy(getattr(part.tokens, name))
        if not self.checkpoints:
            write_json(self.folder / PLAN, self.plan)
        with staged_file(self._path(len(self.checkpoints))) as partial:
            checked_tensors.save(partial, tensors, {"checkpoint": json.dumps(asdict(checkpoint))})
        self.checkpoints.append(checkpoint)

    def tokens(self) -> StoredTokens:
        """Tokens of all rows."""
        ids, docs, positions = (
            np.concatenate([tensor.numpy() for tensor in self._read(name)]) for name in ("ids", "docs", "positions")
        )
        return StoredTokens(ids, docs, positions)

    def rows(self, point: HookPoint) -> Iterator[Tensor]:
        """Rows of one point, part by part."""
        return self._read(_key(point))

    def _read(self, key: str) -> Iterator[Tensor]:
        for index in range(len(self.checkpoints)):
            try:
                yield checked_tensors.read(self._path(index), [key])[key]
            except DamagedFileError:
                raise UnweaveError(f"{self._path(index)}: damaged: run again to read that part again") from None

    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.glob("*"))

    def remove(self) -> None:
        """Delete all parts."""
        shutil.rmtree(self.folder)
