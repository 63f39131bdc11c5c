"""Semi-NMF of activations (SNMF, arXiv 2506.10920): features of few neurons whose coefficients are not negative."""

from typing import Any

import torch

from unweave.activations.source import Activations
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Fit
from unweave.methods.snmf.dictionary import TRAITS, NonNegativeDictionary
from unweave.methods.snmf.factorisation import Factorisation, factorise
from unweave.methods.snmf.settings import Settings


def diagnostics(fitted: Factorisation) -> dict[str, Any]:
    """Facts about a factorisation.

    As the error falls, features can come to cancel in a positive mixture. Adding that mixture to all coefficients
    changes nothing and makes every one positive: the constraint no longer shapes the features. Two numbers tell:
    `code_density`, the share of positive coefficients of the fitted tokens, is near 1 then; and `parts_energy`, the sum
    of ||z_j||^2 ||Y_j||^2 as a share of ||A||^2, is at most about 1 for parts that add up and above it for parts that
    cancel.
    """
    best = fitted.best
    assert best.features is not None
    kept = best.features != 0
    positive = sum((y_kb > 0).sum(dim=1) for y_kb in best.coefficients)
    energies = sum(y_kb.square().sum(dim=1, dtype=torch.float64) for y_kb in best.coefficients)
    assert isinstance(positive, torch.Tensor)
    assert isinstance(energies, torch.Tensor)
    return {
        "iterations": fitted.now.iteration,
        "best_iteration": best.iteration,
        "settled": fitted.settled,
        # The error is a difference of Gram terms: rounding may carry that of an exact fit below 0.
        "relative_error": max(0.0, best.error / fitted.neurons.squared_norm),
        "squared_norm": fitted.neurons.squared_norm,
        "neurons_per_feature": fitted.s,
        "neurons_used": int(kept.any(dim=0).sum()),
        "dead_features": int((~kept.any(dim=1) | (positive == 0)).sum()),
        "revived_features": fitted.revived,
        "code_density": float(positive.sum()) / (len(kept) * fitted.neurons.n),
        "parts_energy": float(best.features.square().sum(dim=1) @ energies) / fitted.neurons.squared_norm,
        "coefficient_bytes": 4 * len(kept) * fitted.neurons.n,
    }


def fit(
    activations: Activations,
    settings: Settings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> Fit:
    """Features Z and coefficients Y >= 0 with A = Z Y, each feature of ceil(p d) neurons, of the best iterate.

    Atoms carry the scale: the coefficients of each had unit norm over the fitted tokens when it was fitted. Memory
    beyond the activations is the n k coefficients (twice that for the multiplicative solver, which keeps its best).

    Raises
    ------
    UnweaveError
        as `factorise`.
    """
    fitted = factorise(
        activations, settings.n_features, settings.initialisation, settings, seed, device, checkpoint, "semi-NMF"
    )
    assert fitted.best.features is not None
    dictionary = NonNegativeDictionary({"atoms": fitted.best.features.float()}, TRAITS)
    return Fit(
        dictionary,
        diagnostics=diagnostics(fitted),
        history={"relative_error": fitted.errors, "support_overlap": fitted.overlaps},
    )
