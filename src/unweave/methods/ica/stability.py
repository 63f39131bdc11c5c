"""How stable each component is over seeds: where it finds its match in other fits, and where random directions do."""

from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize, pad

from unweave.methods.ica.refit import attempts, chosen
from unweave.methods.ica.solver import Solver


def matched_cosines(readers: Tensor, others: Tensor) -> Tensor:
    """|cosine| (F,) of each row of readers (F, d) with its partner among the rows of others (F', d), in float64.

    Partners are those of the one-to-one match of largest total (Hungarian algorithm); where F' < F, rows that are left
    without one have 0.
    """
    cosines = (normalize(readers.double()) @ normalize(others.double()).T).abs().cpu()
    matched = torch.zeros(len(cosines), dtype=torch.float64)
    rows, partners = linear_sum_assignment(cosines.numpy(), maximize=True)
    matched[rows] = cosines[rows, partners]
    return matched


def _widened(rotation: Tensor, q: int) -> Tensor:
    """Rows of a rotation (q', q') of the leading q' <= q whitened directions as readers of all q."""
    return pad(rotation, (0, q - len(rotation)))


def stability(solver: Solver, rotation: Tensor, seed: int) -> dict[str, Any]:
    """Fit `settings.ensemble` further seeds and match each to the components of the returned `rotation` (q, q).

    Cosines are taken in whitened coordinates, where they are correlations of codes: those of readers of raw activations
    mostly tell that all readers lean on the directions of least variance. Further seeds are seed + 2, seed + 4, ...:
    each may take the one after it for a refit. The null is the same match for the random rotations that those fits
    start from.

    Returns facts for the diagnostics: `stability`, the mean |cosine| of each component over the seeds, the mean and
    the 95th percentile of the same number for the null, and a record of each fit.
    """
    q = solver.n_components
    readers = _widened(rotation, q)
    fits, matches, nulls = [], [], []
    for member in range(1, solver.settings.ensemble + 1):
        fit = chosen(attempts(solver, seed + 2 * member))
        fits.append(fit)
        start = solver.fresh(len(fit.run.rotation), seed + 2 * member)
        matches.append(matched_cosines(readers, _widened(fit.run.rotation, q)))
        nulls.append(matched_cosines(readers, _widened(start.rotation, q)))
    null = torch.stack(nulls).mean(dim=0)
    return {
        "stability": torch.stack(matches).mean(dim=0).tolist(),
        "stability_null_mean": float(null.mean()),
        "stability_null_p95": float(torch.quantile(null, 0.95)),
        "ensemble": [fit.record() for fit in fits],
    }
