"""ICA of activations (ICA Lens, arXiv 2606.11722): whiten, rotate to the most non-Gaussian axes, order and orient."""

import torch
from torch import Tensor

from unweave.activations.source import Activations
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Fit
from unweave.methods.ica.contrasts import CONTRASTS
from unweave.methods.ica.fixed_point import component_moments
from unweave.methods.ica.preparation import prepare
from unweave.methods.ica.refit import attempts, chosen
from unweave.methods.ica.run import Journal
from unweave.methods.ica.settings import Settings
from unweave.methods.ica.solver import Solver
from unweave.methods.ica.stability import stability
from unweave.methods.ica.whitening import whitening
from unweave.methods.linear import LinearDictionary

LARGEST_ORTHOGONALITY_ERROR = 1e-5


def _deviation_from_identity(matrix: Tensor) -> float:
    """Largest absolute entry of M - I."""
    return float((matrix - torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)).abs().max())


def _square_root(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric square root of a positive definite matrix (q, q), and its inverse."""
    values, axes = torch.linalg.eigh(matrix)
    roots = values.sqrt()
    return (axes * roots) @ axes.T, (axes / roots) @ axes.T


def fit(
    activations: Activations, settings: Settings, seed: int, device: torch.device, checkpoint: Checkpoint = NOTHING_KEPT
) -> Fit:
    """Fit W = S U K (readers) and A = K+ U^T S^-1 (atoms) with U orthogonal and K whitening.

    K comes from stored statistics, whose float32 products leave codes that are white to `whitening_error`: the largest
    entry of |U K Cov (U K)^T - I| as measured on the fitted rows. S, the inverse square root of that covariance, takes
    it away, so that codes have zero mean and unit variance; strengths and skewness are corrected for it to first order.
    With all d components decoding undoes encoding.

    The history is that of the attempt whose dictionary is returned; diagnostics list all of them. Adaptive refit is
    our reading of a step that the paper names but its code lacks (see `refit`). An outlying row shows in the
    diagnostics as a `largest_code` near the square root of the number of rows.

    Raises
    ------
    UnweaveError
        if the rows hold NaN or infinite values, or span fewer directions than there are components.
    """
    preparation = prepare(activations, settings.preprocessing, device)
    full = whitening(preparation.statistics, settings.n_components, device)
    solver = Solver(activations, full, preparation, settings, Journal(checkpoint, device), device)
    made = attempts(solver, seed)
    best = chosen(made)

    contrast = CONTRASTS[settings.contrast]
    rotation = best.run.rotation
    q = rotation.shape[0]
    orthogonality = _deviation_from_identity(rotation @ rotation.T)
    assert orthogonality < LARGEST_ORTHOGONALITY_ERROR
    moments = component_moments(solver.exact_rows.blocks(q), rotation, contrast)
    root, inverse_root = _square_root(moments.covariance)
    scales = inverse_root.diagonal()
    strength = (moments.contrast + (scales - 1) * moments.slope - contrast.gaussian_mean).abs()
    skewness = moments.skewness * scales**3
    readers, atoms = inverse_root @ rotation @ full.matrix[:q], root @ rotation @ full.inverse[:, :q].T
    if settings.order == "strength":
        order = strength.argsort(descending=True, stable=True)
        rotation, readers, atoms = rotation[order], readers[order], atoms[order]
        strength, skewness = strength[order], skewness[order]
    if settings.sign == "skewness":
        signs = torch.where(skewness < 0, -1.0, 1.0).to(readers)
        readers, atoms, skewness = readers * signs[:, None], atoms * signs[:, None], skewness * signs

    diagnostics = {
        "n_components": q,
        "iterations": best.run.iterations,
        "stopped_by": best.run.stopped_by,
        "converged": best.verdict.converged,
        "accepted": best.verdict.accepted,
        "acceptance": best.verdict.reason,
        "max_lim": best.max_lim,
        "p95_lim": best.p95_lim,
        "attempts": [attempt.record() for attempt in made],
        "strength": strength.tolist(),
        "skewness": skewness.tolist(),
        "contrast": float(strength.mean()),
        "largest_code": moments.largest,
        "whitening_error": _deviation_from_identity(moments.covariance),
        "orthogonality": orthogonality,
    }
    if settings.algorithm == "lbfgs":
        diagnostics |= {"precision": str(solver.dtype).removeprefix("torch."), "passes": best.run.facts["passes"]}
    if settings.ensemble:
        diagnostics |= stability(solver, rotation, seed)
    dictionary = LinearDictionary.build(
        full.mean, readers, atoms, row_norm=settings.preprocessing == "row_norm", median=preparation.median
    )
    return Fit(dictionary, diagnostics, best.run.history)
