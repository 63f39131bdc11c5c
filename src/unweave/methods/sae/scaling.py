"""Bringing activations to a common scale for training, and undoing it in the trained weights."""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from unweave.activations.batches import Batch
from unweave.activations.source import Activations, Statistics
from unweave.errors import UnweaveError
from unweave.methods.sasa.layer_norm import standardised


@dataclass(frozen=True)
class Scaling:
    """What a batch is multiplied by (what is read, what is rebuilt), unless its rows are standardised."""

    read: float = 1.0
    rebuilt: float = 1.0
    layer_norm: bool = False

    def __call__(self, batch: Batch) -> Batch:
        """Batch on the scale of training."""
        if self.layer_norm:
            x = standardised(batch.x).x
            return Batch(x, x)
        same = batch.target is batch.x
        x = batch.x if self.read == 1 else batch.x * self.read
        if same:
            return Batch(x, x)
        return Batch(x, batch.target if self.rebuilt == 1 else batch.target * self.rebuilt)


def checked_statistics(activations: Activations) -> Statistics:
    """Return the moments of the rows.

    Raises
    ------
    UnweaveError
        if a row has values that are not finite, or all rows are equal.
    """
    statistics = activations.statistics(row_norm=False)
    where = f"site {activations.site}: " if activations.site else ""
    if not (np.isfinite(statistics.mean).all() and math.isfinite(statistics.mean_norm)):
        raise UnweaveError(f"{where}activations have rows with NaN or infinity: harvest them again")
    variance, power = float(np.trace(statistics.covariance)), float(statistics.mean @ statistics.mean)
    if variance <= 1e-10 * (variance + power):
        raise UnweaveError(f"{where}all {statistics.n} rows of activations are equal: there is nothing to decompose")
    return statistics


def norm_scale(activations: Activations) -> float:
    """sqrt(d) / mean norm of the rows (sae-lens' `expected_average_only_in`), which `checked_statistics` may refuse."""
    return math.sqrt(activations.d) / checked_statistics(activations).mean_norm


def folded(
    weights: dict[str, Tensor], scaling: Scaling, *, centred: bool, thresholds_follow_norms: bool
) -> dict[str, Tensor]:
    """Weights that act on unscaled activations and whose atoms are unit vectors; the function is the same.

    With the scales s and s' of what is read and rebuilt and the norm c of an atom over s', encoder rows are multiplied
    by s c, encoder biases by c, atoms divided by s' c; codes grow by c. A threshold per latent is one on its
    pre-activation and grows by c too, unless it was one on the pre-activation times the norm of the atom: then it is
    divided by s' alone.
    """
    W_dec = weights["W_dec"] / scaling.rebuilt
    norms = W_dec.norm(dim=1).clamp_min(1e-12)
    b_dec = weights["b_dec"] / scaling.rebuilt
    result = {
        "W_enc": weights["W_enc"] * (scaling.read * norms)[:, None],
        "b_enc": weights["b_enc"] * norms,
        "center": weights["b_dec"] / scaling.read if centred else weights["W_enc"].new_zeros(weights["W_enc"].shape[1]),
        "W_dec": W_dec / norms[:, None],
        "b_dec": b_dec,
    }
    if "threshold" in weights:
        factor = norms if thresholds_follow_norms else 1 / scaling.rebuilt
        result["threshold"] = weights["threshold"] * factor
    if "r_mag" in weights:
        result["r_mag"] = weights["r_mag"]
        result["b_mag"] = weights["b_mag"] * norms
    return result
