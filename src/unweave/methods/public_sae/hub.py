"""Downloading a release through sae-lens, which knows the formats of its publishers."""

import errno
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import Tensor

from unweave.checked_tensors import sha256_of_tensor
from unweave.errors import UnweaveError
from unweave.files import sha256_of_json
from unweave.methods.public_sae.released import Released, released
from unweave.methods.public_sae.settings import Correction

PACKAGE = "sae-lens>=6.54,<7"
NOT_STATED = 1.0
"""What sae-lens' directory holds as the variance explained by an SAE whose publisher states none."""


def _registry_facts(release: str, sae_id: str) -> dict[str, Any]:
    """Return what sae-lens' directory states about one SAE; it states no licences."""
    directory = import_module("sae_lens.loading.pretrained_saes_directory").get_pretrained_saes_directory()
    if release not in directory:
        return {}
    entry = directory[release]
    explained = entry.expected_var_explained.get(sae_id)
    stated = {
        "repo_id": entry.repo_id,
        "path": entry.saes_map.get(sae_id),
        "model": entry.model,
        "stated_l0": entry.expected_l0.get(sae_id) or None,
        "stated_variance_explained": explained if explained != NOT_STATED else None,
        "neuronpedia_id": entry.neuronpedia_id.get(sae_id),
        "norm_scaling_factor_folded": entry.norm_scaling_factor.get(sae_id),
    }
    return {name: value for name, value in stated.items() if value is not None}


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 of names, types, shapes and values."""
    return sha256_of_json({name: sha256_of_tensor(tensor.contiguous()) for name, tensor in tensors.items()})


def download(release: str, sae_id: str, correction: Correction) -> tuple[Released, dict[str, Any]]:
    """Download one SAE, or take it from the Hugging Face cache; also what sae-lens' directory states about it.

    sae-lens folds a norm scaling factor that its directory knows into the weights. It pins no revision: what was had is
    recorded as `tensors_sha256`.

    Raises
    ------
    UnweaveError
        if sae-lens is not installed, the SAE is unknown or cannot be downloaded, and as `released`.
    """
    try:
        sae_lens = import_module("sae_lens")
    except ImportError as error:
        raise UnweaveError(
            f"`release` needs the package sae-lens ({error}): pip install '{PACKAGE}', or name a `folder`"
        ) from None
    where = f"{release}, {sae_id}"
    try:
        sae = sae_lens.SAE.from_pretrained(release, sae_id, device="cpu", dtype="float32")
    except Exception as error:
        # The network errors of the hub's client have no common base, and their classes differ between its versions.
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnweaveError(f"{where}: {reason}: correct release and sae_id, or see to the network") from None
    found = released(sae.cfg.to_dict(), sae.state_dict(), correction, where)
    facts = {"sae_lens": sae_lens.__version__, **_registry_facts(release, sae_id)}
    return found, {**facts, "tensors_sha256": tensors_sha256(found.weights)}
