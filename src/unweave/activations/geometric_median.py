"""The geometric median of rows, and rows as they are seen from it."""

import torch
from torch import Tensor

from unweave.activations.preprocessing import row_normalised
from unweave.activations.source import Activations, Statistics
from unweave.activations.statistics import MomentAccumulator
from unweave.errors import UnweaveError

TOLERANCE = 1e-7
"""The median is found when a pass moves it by less than this share of the mean distance of the rows from it."""
MAX_PASSES = 200


def geometric_median(activations: Activations, device: torch.device) -> Tensor:
    """Find the point m (d,) of least sum of distances ||x_i - m|| to the rows, in float64 (Weiszfeld 1937).

    Each pass moves m to the mean of the rows weighted by 1 / ||x_i - m||; it starts at their mean. A row nearer than
    1e-12 of the mean norm counts with that distance, so that m may lie on rows (Vardi and Zhang 2000 treat this case).

    Raises
    ------
    UnweaveError
        if the rows hold NaN or infinite values.
    """
    statistics = activations.statistics(row_norm=False)
    median = torch.from_numpy(statistics.mean).to(device)
    nearest = 1e-12 * statistics.mean_norm + torch.finfo(torch.float64).tiny
    for _ in range(MAX_PASSES):
        weighted, weight, distance = torch.zeros_like(median), 0.0, 0.0
        for block in activations.blocks():
            x = block.to(device).double()
            distances = (x - median).norm(dim=1).clamp_min(nearest)
            weighted += x.T @ (1 / distances)
            weight += float((1 / distances).sum())
            distance += float(distances.sum())
        moved = weighted / weight - median
        median += moved
        if not median.isfinite().all():
            raise UnweaveError("the activations hold NaN or infinite values: harvest them again in a wider store_dtype")
        if float(moved.norm()) <= TOLERANCE * distance / activations.n:
            break
    return median


def median_normalised(x: Tensor, median: Tensor) -> Tensor:
    """(x - m) / ||x - m|| for rows x (n, d) and m (d,); shorter differences than 1e-12 are divided by that instead."""
    return row_normalised(x - median)


def median_normalised_statistics(activations: Activations, median: Tensor) -> Statistics:
    """Moments of the rows as `median_normalised` gives them in float32, in one pass."""
    accumulator, norms = MomentAccumulator(activations.d), 0.0
    single = median.float()
    for block in activations.blocks():
        x = block.to(single.device)
        norms += float(x.norm(dim=1).sum(dtype=torch.float64))
        accumulator.add_batch(median_normalised(x, single).cpu().numpy())
    mean, covariance = accumulator.compute()
    return Statistics(activations.n, mean, covariance, norms / activations.n)
