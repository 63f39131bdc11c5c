"""The real activations that all benchmarks run on: layer 15 of SmolLM2-135M on news (config/benchmark.yaml)."""

from dataclasses import dataclass
from pathlib import Path

from unweave.activations.source import Activations
from unweave.activations.store import StoredActivations

FOLDER = Path("results/activations/smollm2/benchmark")
LAYER = 15


@dataclass(frozen=True)
class Data:
    """Activations of the same 160,000 tokens."""

    resid: Activations
    """Residual stream after the block, d = 576."""
    mlp_neurons: Activations
    """Hidden layer of the block's MLP, d = 1536."""


def stored() -> Data:
    """Return the activation files that `make benchmark` harvests first."""
    return Data(
        StoredActivations(FOLDER / "resid.h5", LAYER),
        StoredActivations(FOLDER / "mlp_neurons.h5", LAYER),
    )
