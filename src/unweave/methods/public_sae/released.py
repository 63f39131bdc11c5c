"""A published SAE as sae-lens keeps it: its configuration and weights, read without sae-lens.

A folder holds `cfg.json` and `sae_weights.safetensors`. Configurations from before sae-lens 6 use other names and
defaults; both are understood. Rows x (n, d) are multiplied from the right, so W_enc is (d, F) and W_dec is (F, d).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from unweave.errors import UnweaveError
from unweave.methods.public_sae.settings import ARCHITECTURES, Correction

CONFIGURATION_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"
NORMALISATIONS = ("none", "expected_average_only_in", "layer_norm", "constant_norm_rescale")


@dataclass(frozen=True)
class Released:
    """One published SAE."""

    architecture: str
    normalisation: str
    """In sae-lens' words."""
    k: int | None
    subtracts_decoder_bias: bool
    """Normalised rows lose b_dec before they are encoded."""
    rescales_by_decoder_norm: bool
    """A topk gate compares pre-activations times the norm of their decoder row, and decoding divides by it."""
    metadata: Mapping[str, Any]
    """Model, hook and whatever else the publisher states."""
    finetuning_scale: Tensor | None
    """(F,) factors of the codes when they are decoded."""
    weights: Mapping[str, Tensor]

    @property
    def d_in(self) -> int:
        """Dimensions d of a row."""
        return self.weights["W_dec"].shape[1]

    @property
    def centres_rows(self) -> bool:
        """Whether it was trained on a model whose weights write nothing along the all-ones direction.

        Such a model's residual stream is that of the original with each row's mean subtracted (TransformerLens,
        center_writing_weights).
        """
        return bool((self.metadata.get("model_from_pretrained_kwargs") or {}).get("center_writing_weights"))


def _shapes(architecture: str, d: int, features: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"W_enc": (d, features), "W_dec": (features, d), "b_dec": (d,)}
    biases = ("b_gate", "b_mag", "r_mag") if architecture == "gated" else ("b_enc",)
    thresholds = ("threshold",) if architecture == "jumprelu" else ()
    return shapes | dict.fromkeys(biases + thresholds, (features,))


def _checked_weights(architecture: str, weights: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Float32 weights that the architecture needs, and the finetuning scale if there is one.

    Raises
    ------
    UnweaveError
        if one is missing, of another shape, or not finite.
    """
    if "W_dec" not in weights or weights["W_dec"].ndim != 2:
        raise UnweaveError(f"{where}: has no decoder matrix W_dec: take another SAE or download it again")
    features, d = weights["W_dec"].shape
    shapes = _shapes(architecture, d, features)
    for name in ("scaling_factor", "finetuning_scaling_factor"):
        if name in weights:
            shapes[name] = (features,)
    for name, shape in shapes.items():
        if name not in weights or tuple(weights[name].shape) != shape:
            found = tuple(weights[name].shape) if name in weights else "nothing"
            raise UnweaveError(
                f"{where}: {name} of a {architecture} SAE must be {shape}, there is {found}: correct `correction`, or "
                "download it again"
            )
        if not weights[name].isfinite().all():
            raise UnweaveError(f"{where}: {name} has NaN or infinite values: download it again")
    return {name: weights[name].detach().to("cpu", torch.float32) for name in shapes}


def _modern(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Put a configuration into the words of sae-lens 6."""
    modern = {**configuration}
    metadata = {**(modern.get("metadata") or {})}
    for name in ("model_name", "hook_name", "prepend_bos", "context_size", "model_from_pretrained_kwargs"):
        if name in modern:
            metadata.setdefault(name, modern[name])
    if "hook_point" in modern:
        metadata.setdefault("hook_name", modern["hook_point"])
    modern["metadata"] = metadata
    modern.setdefault("architecture", "standard")
    activation = modern.get("activation_fn", modern.get("activation_fn_str"))
    if activation == "topk" and modern["architecture"] == "standard":
        modern["architecture"] = "topk"
    if modern["architecture"] == "topk" and modern.get("k") is None:
        modern["k"] = (modern.get("activation_fn_kwargs") or {}).get("k")
    normalisation = modern.get("normalize_activations")
    if normalisation is None or isinstance(normalisation, bool):
        modern["normalize_activations"] = "expected_average_only_in" if normalisation else "none"
    return modern


def released(
    configuration: Mapping[str, Any], weights: Mapping[str, Tensor], correction: Correction, where: str
) -> Released:
    """Understand a configuration and check the weights against it; `correction` replaces what it says.

    Raises
    ------
    UnweaveError
        if the configuration is none, the architecture or the normalisation is not supported, or the weights do not fit.
    """
    try:
        facts = _modern(configuration) | correction.model_dump(exclude_none=True)
    except (TypeError, AttributeError):
        raise UnweaveError(
            f"{where}: its configuration is not laid out as sae-lens saves it: save the SAE again"
        ) from None
    architecture, normalisation, k = facts["architecture"], facts["normalize_activations"], facts.get("k")
    if architecture not in ARCHITECTURES:
        raise UnweaveError(
            f"{where}: architecture {architecture} is not supported: choose a {' or '.join(ARCHITECTURES)} SAE"
        )
    if normalisation not in NORMALISATIONS:
        raise UnweaveError(
            f"{where}: normalize_activations {normalisation} is not supported, only {', '.join(NORMALISATIONS)}: fold "
            "it into the weights with sae-lens and save the SAE again"
        )
    if facts.get("reshape_activations", "none") != "none":
        raise UnweaveError(f"{where}: reads attention heads one by one, which is no site that is harvested")
    checked = _checked_weights(architecture, weights, where)
    if architecture in ("topk", "abstopk") and not (isinstance(k, int) and 1 <= k <= len(checked["W_dec"])):
        raise UnweaveError(
            f"{where}: k is {k} of {len(checked['W_dec'])} features: state it in `correction: {{k: ...}}`"
        )
    scale = checked.get("scaling_factor", checked.get("finetuning_scaling_factor"))
    if scale is not None and not facts.get("finetuning_scaling_factor"):
        if not torch.allclose(scale, torch.ones(())):
            raise UnweaveError(
                f"{where}: has a finetuning scale that its configuration does not use (finetuning_scaling_factor: "
                "false): remove one of them"
            )
        scale = None
    return Released(
        architecture=architecture,
        normalisation=normalisation,
        k=k if architecture in ("topk", "abstopk") else None,
        subtracts_decoder_bias=bool(facts.get("apply_b_dec_to_input", True)),
        rescales_by_decoder_norm=bool(facts.get("rescale_acts_by_decoder_norm", False)),
        metadata=facts["metadata"],
        finetuning_scale=scale,
        weights=checked,
    )


def read_folder(folder: Path, correction: Correction) -> Released:
    """Read a folder that sae-lens saved.

    Raises
    ------
    UnweaveError
        if a file is missing or damaged, and as `released`.
    """
    try:
        configuration = json.loads((folder / CONFIGURATION_FILE).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS_FILE)
    except FileNotFoundError as error:
        raise UnweaveError(
            f"{error.filename or folder / WEIGHTS_FILE}: no such file: `folder` must hold {CONFIGURATION_FILE} and "
            f"{WEIGHTS_FILE} as sae-lens saves them"
        ) from None
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise UnweaveError(f"{folder}: damaged ({str(error).splitlines()[0]}): save the SAE again") from None
    return released(configuration, weights, correction, str(folder))
