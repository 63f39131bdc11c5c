"""Any dictionary as an object that SAEBench evaluates without a change. Needs sae-bench installed."""

from typing import Any

import torch

from unweave.errors import UnweaveError
from unweave.methods.dictionary import Dictionary


def as_sae_bench(dictionary: Dictionary, model: str, layer: int, hook_name: str | None = None) -> Any:
    """Wrap a dictionary (F features, d dimensions) as a `BaseSAE` of sae-bench with its own `encode` and `decode`.

    `model` and `hook_name` are TransformerLens names. Activations and codes may have any leading shape.

    Raises
    ------
    UnweaveError
        if sae-bench is not installed.
    """
    try:
        from sae_bench.custom_saes.base_sae import BaseSAE  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise UnweaveError(
            "sae-bench is not installed: pip install sae-bench==0.6.0, in an environment of its own"
        ) from None

    features, d = dictionary.atoms.shape
    encoder = next(
        (dictionary.tensors[name] for name in ("W_enc", "readers", "encoder") if name in dictionary.tensors),
        torch.zeros(features, d),
    )
    bias = next(
        (dictionary.tensors[name] for name in ("b_enc", "encoder_bias") if name in dictionary.tensors),
        torch.zeros(features),
    )

    class Wrapped(BaseSAE):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            super().__init__(d, features, model, layer, torch.device("cpu"), torch.float32, hook_name)
            self.dictionary = dictionary
            self.W_dec.data = dictionary.atoms
            self.W_enc.data = encoder.T.contiguous()
            self.b_enc.data = bias

        def encode(self, x: torch.Tensor) -> torch.Tensor:
            return dictionary.encode(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)

        def decode(self, feature_acts: torch.Tensor) -> torch.Tensor:
            flat = dictionary.decode(feature_acts.reshape(-1, feature_acts.shape[-1]))
            return flat.reshape(*feature_acts.shape[:-1], -1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.decode(self.encode(x))

    return Wrapped()
