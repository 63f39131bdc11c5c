"""Opening one layer of activations, whether they are stored or computed as they are read."""

from pathlib import Path

import torch

from unweave.activations.source import Activations
from unweave.activations.store import StoredActivations, read_attributes
from unweave.errors import UnweaveError


def open_activations(path: Path, layer: int, model_folder: Path | None, device: torch.device) -> Activations:
    """One layer of an activation file, or of a token file, whose activations `model_folder` computes.

    Raises
    ------
    UnweaveError
        as `StoredActivations` and `RecomputedActivations`, or if a token file is opened without a model.
    """
    if not read_attributes(path).get("recomputed"):
        return StoredActivations(path, layer)
    if model_folder is None:
        raise UnweaveError(f"{path}: its activations are not stored: name the model that computes them (--model)")
    # The language model's libraries take four seconds to import: only what computes activations waits for them.
    from unweave.activations.token_index import RecomputedActivations

    return RecomputedActivations(path, layer, model_folder, device)
