"""From a published SAE to a dictionary for one set of activations, and how well it fits them."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from unweave.activations.source import Activations
from unweave.config import PROJECT
from unweave.errors import UnweaveError
from unweave.files import sha256_of
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Dictionary, Fit, Normalisation, Traits
from unweave.methods.public_sae.dictionary import PublicSAE
from unweave.methods.public_sae.hook_names import check_place
from unweave.methods.public_sae.hub import download
from unweave.methods.public_sae.released import WEIGHTS_FILE, Released, read_folder
from unweave.methods.public_sae.settings import Settings

GATES = {
    "standard": "relu",
    "topk": "topk",
    "abstopk": "signed_topk",
    "jumprelu": "threshold",
    "gated": "gated",
}
"""sae-lens' names of gates to those of our sparse autoencoder."""
CHECKED_ROWS = 8192
"""Rows whose reconstruction is measured, in `CHECKED_RANGES` stretches from all over the file."""
CHECKED_RANGES = 16
SMALLEST_NORM = 1e-8
"""Decoder rows shorter than this count as this long when they are scaled to unit norm."""


def input_scale(sae: Released, activations: Activations, stated: float | None) -> float:
    """Factor of all rows where they are to have a norm of sqrt(d) on average, 1 elsewhere.

    Raises
    ------
    UnweaveError
        if it is not stated and does not follow from the norms of the activations.
    """
    if sae.normalisation != "expected_average_only_in":
        return 1.0
    if stated is not None:
        return stated
    norm = activations.statistics(row_norm=False).mean_norm
    if sae.centres_rows or not 0 < norm < math.inf:
        raise UnweaveError("the scale of the rows cannot be had from the activations: state norm_scaling_factor")
    return float(activations.d**0.5 / norm)


def normalisation_of(sae: Released) -> Normalisation:
    """Name what is done to each row as traits do.

    Raises
    ------
    UnweaveError
        if rows are to be both centred and scaled to one norm.
    """
    if sae.normalisation == "layer_norm":
        return "layer_norm"
    if sae.normalisation == "constant_norm_rescale":
        if sae.centres_rows:
            raise UnweaveError(
                "constant_norm_rescale of a model with centred weights is not supported: choose another SAE"
            )
        return "row_norm"
    return "row_mean" if sae.centres_rows else "none"


def dictionary_of(sae: Released, scale: float, *, unit_atoms: bool) -> PublicSAE:
    """Build the dictionary: `scale` (of all rows) and norms of decoder rows are folded into its tensors.

    With s the scale, (s x - b) W = (x - b / s) (s W), so thresholds and encoder biases stay. Rows of norm sqrt(d)
    (constant_norm_rescale) are unit rows with s = sqrt(d). A threshold below 0 is none, because sae-lens' JumpReLU lets
    nothing negative through.
    """
    weights = sae.weights
    norms = weights["W_dec"].norm(dim=1) / scale
    if sae.normalisation == "constant_norm_rescale":
        scale *= sae.d_in**0.5
    W_enc, W_dec, b_dec = scale * weights["W_enc"].T, weights["W_dec"] / scale, weights["b_dec"] / scale
    b_enc = weights["b_gate" if sae.architecture == "gated" else "b_enc"]
    if sae.rescales_by_decoder_norm:
        W_enc, b_enc = W_enc * norms[:, None], b_enc * norms
        W_dec = W_dec / norms.clamp_min(SMALLEST_NORM)[:, None]
    if sae.finetuning_scale is not None:
        W_dec = W_dec * sae.finetuning_scale[:, None]
    code_scale = W_dec.norm(dim=1).clamp_min(SMALLEST_NORM) if unit_atoms else torch.ones(len(W_dec))
    tensors = {
        "W_enc": W_enc,
        "center": b_dec.clone() if sae.subtracts_decoder_bias else torch.zeros_like(b_dec),
        "b_enc": b_enc,
        "W_dec": W_dec / code_scale[:, None],
        "b_dec": b_dec,
        "code_scale": code_scale,
    }
    if sae.architecture == "jumprelu":
        tensors["threshold"] = weights["threshold"].clamp_min(0)
    if sae.architecture == "gated":
        tensors |= {"r_mag": weights["r_mag"], "b_mag": weights["b_mag"]}
    traits = Traits(signed=sae.architecture == "abstopk", linear=False, normalisation=normalisation_of(sae))
    options = {"gate": GATES[sae.architecture]} | ({"k": sae.k} if sae.k else {})
    return PublicSAE({name: tensor.contiguous() for name, tensor in tensors.items()}, traits, options)


@torch.no_grad()
def measured(dictionary: Dictionary, activations: Activations, device: torch.device) -> dict[str, Any]:
    """Fraction of variance explained and codes per token that are not 0, on rows from all over the activations.

    `fve` = 1 - squared error of decode(encode(x), like=x) / squared distance to the mean of these rows, in float64, or
    None if the rows are all the same. `normalisation_suspect` is true where it is below 0: an SAE that is fed as its
    publisher fed it does better than the mean row.

    Raises
    ------
    UnweaveError
        if a reconstruction is not finite.
    """
    stretch = max(1, min(CHECKED_ROWS, activations.n) // CHECKED_RANGES)
    starts = sorted({round(i * (activations.n - stretch) / (CHECKED_RANGES - 1)) for i in range(CHECKED_RANGES)})
    total = torch.zeros(activations.d, dtype=torch.float64, device=device)
    error = squares = fired = rows = 0.0
    for block in activations.slices((start, start + stretch) for start in starts):
        x = block.to(device)
        codes = dictionary.encode(x)
        error += (dictionary.decode(codes, like=x) - x).double().square().sum().item()
        total += x.double().sum(0)
        squares += x.double().square().sum().item()
        fired += (codes != 0).sum().item()
        rows += len(x)
    if not math.isfinite(error):
        raise UnweaveError("NaN or infinite activations or codes: harvest again with `store_dtype: float32`")
    variance = squares - total.square().sum().item() / rows
    fve = 1 - error / variance if variance > 1e-12 * squares else None
    return {
        "rows_checked": int(rows),
        "fve": fve,
        "l0": fired / rows,
        "normalisation_suspect": fve is not None and fve < 0,
    }


def _at_layer(text: str, activations: Activations) -> str:
    if "{layer}" not in text:
        return text
    if activations.layer is None:
        raise UnweaveError(f"{text}: the block of the activations is not known: write its number in place of {{layer}}")
    return text.replace("{layer}", str(activations.layer))


def _sae_id(sae_id: str | list[str], activations: Activations) -> str:
    if isinstance(sae_id, str):
        return _at_layer(sae_id, activations)
    if activations.layer is None or activations.layer >= len(sae_id):
        raise UnweaveError(
            f"sae_id has {len(sae_id)} ids, for blocks from 0 on, and none for block {activations.layer}: add it"
        )
    return sae_id[activations.layer]


def _obtained(settings: Settings, activations: Activations) -> tuple[Released, dict[str, Any]]:
    """Read or download the SAE, with where it is from."""
    if settings.folder is not None:
        folder = PROJECT / _at_layer(settings.folder, activations)
        sae = read_folder(folder, settings.correction)
        return sae, {"folder": folder.name, "weights_sha256": sha256_of(folder / WEIGHTS_FILE)}
    assert settings.release is not None
    assert settings.sae_id is not None
    sae_id = _sae_id(settings.sae_id, activations)
    sae, facts = download(settings.release, sae_id, settings.correction)
    return sae, {"release": settings.release, "sae_id": sae_id, **facts}


def _stated(metadata: Mapping[str, Any]) -> dict[str, Any]:
    names = ("model_name", "hook_name", "prepend_bos", "context_size", "dataset_path")
    return {name: metadata[name] for name in names if metadata.get(name) is not None}


def fit(
    activations: Activations,
    settings: Settings,
    seed: int,  # noqa: ARG001
    device: torch.device,
    checkpoint: Checkpoint = NOTHING_KEPT,  # noqa: ARG001
) -> Fit:
    """Take a published SAE as it is; nothing is learned or drawn: `seed` has no effect.

    Codes of SAEs that normalise rows (`Traits.normalisation`) decode on the normalised scale; `decode(codes, like=x)`
    is what sae-lens calls decoding. Where the model was centred by its publisher (center_writing_weights), rows lose
    their mean first and get it back. Diagnostics: where it is from, what its publisher states, and `fve`, `l0`,
    `normalisation_suspect` as measured on these activations.

    Raises
    ------
    UnweaveError
        if sae-lens is missing, the SAE cannot be had, is not supported, or reads another width, site or block.
    """
    sae, source = _obtained(settings, activations)
    check_place(sae.metadata, sae.d_in, activations)
    scale = input_scale(sae, activations, settings.norm_scaling_factor)
    dictionary = dictionary_of(sae, scale, unit_atoms=settings.unit_atoms).to(device)
    facts = {
        "architecture": sae.architecture,
        "k": sae.k,
        "normalize_activations": sae.normalisation,
        "norm_scaling_factor": scale,
        "apply_b_dec_to_input": sae.subtracts_decoder_bias,
        "centred_rows": sae.centres_rows,
        "decoder_rows_of_zero_norm": int((sae.weights["W_dec"].norm(dim=1) < SMALLEST_NORM).sum()),
    }
    return Fit(dictionary, {**source, **_stated(sae.metadata), **facts, **measured(dictionary, activations, device)})
