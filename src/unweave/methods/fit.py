"""The stage that fits one dictionary: stored activations of one layer and one registry entry in, a folder out."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from unweave.activations.store import StoredActivations
from unweave.config import MethodEntry, validated
from unweave.errors import UnweaveError
from unweave.methods.dictionary import save


def method_module(name: str) -> ModuleType:
    """Import the module of unweave.methods called `name`, with its `Settings` and `fit`.

    Raises
    ------
    UnweaveError
        if there is no such module, or it is not a method.
    """
    qualified = f"unweave.methods.{name}"
    try:
        module = import_module(qualified)
    except ModuleNotFoundError as error:
        if error.name != qualified:
            raise
        raise UnweaveError(f"unknown method {name!r}: there is no module {qualified}") from None
    if not (hasattr(module, "Settings") and hasattr(module, "fit")):
        raise UnweaveError(f"unknown method {name!r}: {qualified} has no Settings and fit")
    return module


def fit_dictionary(
    activations_path: Path,
    layer: int,
    entry: MethodEntry,
    folder: Path,
    device: torch.device,
    description: dict[str, Any],
) -> None:
    """Fit `entry` on one layer of an activation file and save the dictionary into `folder`.

    `description` (the model, corpus, site, layer and method) becomes part of the manifest.

    Raises
    ------
    UnweaveError
        if the method or its settings are wrong, the activations are missing, or they cannot be decomposed.
    """
    module = method_module(entry.method)
    settings = validated(module.Settings, entry.settings, f"settings of {entry.method}")
    activations = StoredActivations(activations_path, layer)
    try:
        fit = module.fit(activations, settings, entry.seed, device)
    except UnweaveError as error:
        raise UnweaveError(f"{activations_path}, layer {layer}: {error}") from None
    save(fit, folder, description)
