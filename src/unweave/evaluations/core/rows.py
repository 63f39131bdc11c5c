"""What is measured on every token: how near the reconstruction comes, and how strong its codes are."""

import torch
from torch import Tensor

NORM_FLOOR = 1e-12
RATIO_FLOOR = 1e-4
"""Rows shorter than this have their norm ratio taken to 1 instead of to their own norm (SAELens, SAEBench)."""


def row_measures(target: Tensor, y: Tensor, codes: Tensor) -> dict[str, Tensor]:
    """Float64 measures (n,) of a reconstruction y (n, d) of `target` (n, d) from `codes` (n, F).

    `error` ||t - y||^2, `energy` ||t||^2, `energy_out` ||y||^2, `inner` <t, y>, `cosine` (0 for a row of zeros), norms
    of both and their ratio, `l0` codes that are not zero, `l1` sum of |code|, `l1_signed` sum of codes.
    """
    wide = torch.float64
    # The mean is subtracted from it later: squares that were rounded to float32 would not cancel.
    energy = target.to(wide).square().sum(dim=1)
    energy_out = y.square().sum(dim=1, dtype=wide)
    inner = (target * y).sum(dim=1, dtype=wide)
    norm_in, norm_out = energy.sqrt(), energy_out.sqrt()
    return {
        "error": (target - y).square().sum(dim=1, dtype=wide),
        "energy": energy,
        "energy_out": energy_out,
        "inner": inner,
        "cosine": inner / (norm_in * norm_out).clamp_min(NORM_FLOOR),
        "norm_in": norm_in,
        "norm_out": norm_out,
        "norm_ratio": norm_out / torch.where(norm_in < RATIO_FLOOR, 1, norm_in),
        # One row's sum of codes in float32: in float64 it takes eight times as long, and the sum over rows is float64.
        "l0": torch.linalg.vector_norm(codes, 0, dim=1).to(wide),
        "l1": torch.linalg.vector_norm(codes, 1, dim=1).to(wide),
        "l1_signed": codes.sum(dim=1).to(wide),
    }


def batch_measures(target: Tensor, y: Tensor) -> dict[str, float]:
    """Explained variance of one batch as two libraries average it over batches, both (n, d), in float64.

    `dictionary_learning`: 1 - sum_j var_j(t - y) / sum_j var_j(t), which a constant error does not lower; `sparsify`:
    1 - sum ||t - y||^2 / sum ||t - mean of the batch||^2. Nothing for a batch of equal rows, which explains nothing.
    """
    t, error = target.double(), target.double() - y.double()
    total = float((t - t.mean(dim=0)).square().sum())
    if total == 0:
        return {}
    return {
        "dictionary_learning": 1 - float((error - error.mean(dim=0)).square().sum()) / total,
        "sparsify": 1 - float(error.square().sum()) / total,
    }


def legacy_explained(target: Tensor, y: Tensor) -> Tensor:
    """1 - ||t - y||^2 / ||t - mean of the batch||^2 (n,), float64: SAEBench's earlier explained variance, per token.

    A mean of ratios: tokens near the mean of their batch weigh without bound. 0 / 0 counts as explained.
    """
    t = target.double()
    error = (target - y).square().sum(dim=1, dtype=torch.float64)
    spread = (t - t.mean(dim=0)).square().sum(dim=1)
    return torch.where((spread == 0) & (error == 0), 1.0, 1 - error / spread)
