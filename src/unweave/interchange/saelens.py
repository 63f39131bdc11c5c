"""Dictionaries as sae-lens keeps sparse autoencoders: a folder of cfg.json and sae_weights.safetensors.

What sae-lens can say it gets exactly: rows x are encoded as gate(x @ W_enc + b_enc) and decoded as
codes @ W_dec + b_dec. Bits, groups and clusters have no such form and are refused. A signed linear dictionary (ICA,
PCA) becomes a ReLU autoencoder with one latent for each sign: relu(s) - relu(-s) = s.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from unweave.errors import UnweaveError
from unweave.files import staged_folder, write_json
from unweave.methods.dictionary import Dictionary
from unweave.methods.linear import LinearDictionary
from unweave.methods.public_sae.dictionary import PublicSAE
from unweave.methods.public_sae.estimate import dictionary_of
from unweave.methods.public_sae.released import CONFIGURATION_FILE, WEIGHTS_FILE, read_folder
from unweave.methods.public_sae.settings import Correction
from unweave.methods.sae.dictionary import SparseAutoencoder

ARCHITECTURES = {
    "relu": "standard",
    "topk": "topk",
    "signed_topk": "abstopk",
    "threshold": "jumprelu",
    "gated": "gated",
}
"""Our names of gates to those of sae-lens."""


def write_saelens(dictionary: Dictionary, folder: Path, *, model: str = "", hook_name: str = "") -> None:
    """Write a dictionary of d features F into `folder`; it appears complete or not at all.

    `model` and `hook_name` say what was read, in the reader's own words, and become metadata.

    Raises
    ------
    UnweaveError
        if the dictionary has no such form.
    """
    if isinstance(dictionary, LinearDictionary) and dictionary.traits.normalisation == "none":
        architecture, weights, k = "standard", _of_both_signs(dictionary), None
    elif isinstance(dictionary, SparseAutoencoder) and dictionary.traits.writes is None:
        architecture, k = ARCHITECTURES[dictionary.options["gate"]], dictionary.options.get("k")
        weights = _of_autoencoder(dictionary)
    else:
        raise UnweaveError(
            f"{dictionary.form} with {dictionary.traits.normalisation} rows: sae-lens has no such autoencoder: export "
            "ICA or PCA of raw rows, or an SAE"
        )
    d, features = weights["W_enc"].shape
    configuration: dict[str, Any] = {
        "architecture": architecture,
        "d_in": d,
        "d_sae": features,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "layer_norm" if dictionary.traits.normalisation == "layer_norm" else "none",
        "reshape_activations": "none",
        "metadata": {"model_name": model, "hook_name": hook_name, "made_by": "unweave"},
    }
    if k is not None:
        configuration |= {"k": k, "rescale_acts_by_decoder_norm": False}
    with staged_folder(folder) as staged:
        write_json(staged / CONFIGURATION_FILE, configuration)
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, staged / WEIGHTS_FILE)


def read_saelens(folder: Path) -> PublicSAE:
    """Read a dictionary that sae-lens or `write_saelens` wrote; its codes are those of sae-lens.

    Raises
    ------
    UnweaveError
        if a file is missing, damaged or of an architecture that is not supported, or rows are to be scaled to a norm
        that only the activations tell.
    """
    sae = read_folder(folder, Correction())
    if sae.normalisation == "expected_average_only_in":
        raise UnweaveError(
            f"{folder}: scales rows by their mean norm: fit method public_sae on activations, which tell it"
        )
    return dictionary_of(sae, 1.0, unit_atoms=False)


def _of_both_signs(dictionary: LinearDictionary) -> dict[str, Tensor]:
    readers, atoms, center = (dictionary.tensors[name] for name in ("readers", "atoms", "center"))
    offset = -(readers @ center)
    return {
        "W_enc": torch.cat([readers, -readers]).T,
        "b_enc": torch.cat([offset, -offset]),
        "W_dec": torch.cat([atoms, -atoms]),
        "b_dec": center.clone(),
    }


def _of_autoencoder(dictionary: SparseAutoencoder) -> dict[str, Tensor]:
    """(x - center) W + b = x W + (b - center W), of the gate and of the magnitudes."""
    tensors = dictionary.tensors
    shift = tensors["W_enc"] @ tensors["center"]
    weights = {
        "W_enc": tensors["W_enc"].T,
        "b_enc": tensors["b_enc"] - shift,
        "W_dec": tensors["W_dec"].clone(),
        "b_dec": tensors["b_dec"].clone(),
    }
    match dictionary.options["gate"]:
        case "threshold":
            weights["threshold"] = tensors["threshold"].clone()
        case "gated":
            weights["b_gate"] = weights.pop("b_enc")
            weights["r_mag"] = tensors["r_mag"].clone()
            weights["b_mag"] = tensors["b_mag"] - shift * tensors["r_mag"].exp()
    return weights
