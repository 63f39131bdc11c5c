"""The stage that fits one dictionary: stored activations of one layer and one registry entry in, a folder out."""

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unweave.activations.opening import open_activations
from unweave.activations.source import Activations
from unweave.activations.store import read_tokens, require_harvested_from
from unweave.config import MethodEntry, validated
from unweave.errors import UnweaveError
from unweave.files import sha256_of_json
from unweave.fingerprint import fingerprint
from unweave.methods.checkpoint import Checkpoint
from unweave.methods.dictionary import save
from unweave.provenance import recorded_sha256

DECIDING_PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")
"""Packages whose version may change a result; the sidecar beside the manifest lists all."""


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
    seed: int,
    folder: Path,
    device: torch.device,
    description: dict[str, Any],
    *,
    target_path: Path | None = None,
    text_folder: Path | None = None,
    model_folder: Path | None = None,
) -> None:
    """Fit `entry` on one layer of an activation file and save the dictionary into `folder`.

    `description` (the model, corpus, site, layer, method and seed) becomes part of the manifest, beside the settings in
    full, the hash and shape of the data, and the versions of the packages that decide the numbers. `target_path` is
    the activation file of the site that a transcoder rebuilds, `text_folder` the data set whose labels a supervised
    method learns, `model_folder` the model that computes activations which are not stored. A fit that was killed goes
    on from its checkpoint beside `folder`.

    Raises
    ------
    UnweaveError
        if the method or its settings are wrong, the activations are missing, or they cannot be decomposed.
    """
    module = method_module(entry.method)
    settings = validated(module.Settings, entry.settings, f"settings of {entry.method}")
    activations = open_activations(activations_path, layer, model_folder, device)
    facts = {
        **description,
        "seed": seed,
        "method_module": entry.method,
        "settings": settings.model_dump(mode="json"),
        "data": {"sha256": recorded_sha256(activations_path), "n": activations.n, "d": activations.d},
        "versions": {name: version(name) for name in DECIDING_PACKAGES},
        "device": device.type,
    }
    if target_path is not None:
        activations.targets = open_activations(target_path, layer, model_folder, device)
        facts["target"] = {"sha256": recorded_sha256(target_path), "site": activations.targets.site}
    if text_folder is not None:
        activations.labels = training_labels(activations_path, text_folder)
        activations.documents = read_tokens(activations_path).docs
    code = fingerprint(__name__, module.__name__)
    identity = sha256_of_json([facts, code])
    checkpoint = Checkpoint(folder.with_name(f".{folder.name}.checkpoint"), identity)
    try:
        check_finite(activations)
        fit = module.fit(activations, settings, seed, device, checkpoint)
    except UnweaveError as error:
        raise UnweaveError(f"{activations_path}, layer {layer}: {error}") from None
    save(fit, folder, facts)
    checkpoint.remove()


def check_finite(activations: Activations) -> None:
    """Refuse activations with a NaN or infinite value: their stored covariance is then not finite either.

    Raises
    ------
    UnweaveError
        naming the coordinates.
    """
    variances = np.diagonal(activations.statistics(row_norm=False).covariance)
    broken = np.flatnonzero(~np.isfinite(variances))
    if len(broken):
        raise UnweaveError(
            f"NaN or infinite values in {len(broken)} of {len(variances)} coordinates (first: {broken[0]}): harvest "
            "again with `store_dtype: float32`"
        )


def training_labels(activations_path: Path, text_folder: Path) -> NDArray[np.int64]:
    """Class of the document of each row; -1 for documents of the test split, which a supervised fit must not see.

    Raises
    ------
    UnweaveError
        if the activations were harvested from other texts.
    """
    from unweave.datasets.stored import load_dataset

    dataset = load_dataset(text_folder)
    require_harvested_from(activations_path, text_folder)
    docs = read_tokens(activations_path).docs
    labels: NDArray[np.int64] = np.asarray(dataset["label"], dtype=np.int64)[docs]
    labels[np.asarray(dataset["split"])[docs] != "train"] = -1
    return labels
