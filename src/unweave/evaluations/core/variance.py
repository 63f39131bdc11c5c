"""Explained variance: one correct definition, and what other libraries print under the same name.

With t the activations, y their reconstruction, e = t - y, R = mean ||e||^2 and S = mean ||t||^2 over n tokens:

- `fve` = 1 - R / (S - ||mean t||^2), centred over all tokens, sums in float64. SAELens (since its issue 659) agrees.
- `fve_saebench` = 1 - R / (S - (S / d)^2): SAEBench 0.6.0. The mean over dimensions is one of squares, not of values,
  so that nothing is centred and the result is not even invariant to the scale of the activations.
- `fve_saebench_legacy` = mean over tokens of 1 - ||e||^2 / ||t - mean of the batch||^2: SAEBench before, and the
  numbers of its paper. A mean of ratios, which a few tokens near the mean decide.
- `fve_dictionary_learning`, `fve_sparsify` = means over batches (see `rows.batch_measures`).
- `fve_overcomplete` = 1 - R / (S - d m^2), centred on m, the mean of all coordinates of all tokens.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def total_variance(weights: Floats, lengths: Floats, energies: Floats, row_sums: Floats) -> Floats:
    """Sum of ||t - mean t||^2 (draws,) over documents taken with `weights` (draws, D).

    `lengths` (D,) tokens, `energies` (D,) sums of ||t||^2 and `row_sums` (D, d) sums of t of each document.
    """
    mean_part = np.square(weights @ row_sums).sum(axis=1) / (weights @ lengths)
    variance: Floats = weights @ energies - mean_part
    return variance


def fve_saebench(mean_error: Floats, mean_energy: Floats, d: int) -> Floats:
    """SAEBench 0.6.0, from R and S of `d`-dimensional activations."""
    return 1 - mean_error / (mean_energy - np.square(mean_energy / d))


def fve_overcomplete(mean_error: Floats, mean_energy: Floats, coordinate_mean: Floats, d: int) -> Floats:
    """R2 score of overcomplete, from R, S and the mean of all coordinates."""
    centred: Floats = mean_energy - d * np.square(coordinate_mean)
    return 1 - mean_error / centred
