"""ICA of activations (ICA Lens, arXiv 2606.11722): whiten, rotate to the most non-Gaussian axes, order and orient."""

import torch
from torch import Tensor

from unweave.activations.source import Activations
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Fit
from unweave.methods.ica.contrasts import CONTRASTS
from unweave.methods.ica.fixed_point import component_moments
from unweave.methods.ica.refit import attempts, chosen
from unweave.methods.ica.settings import Settings
from unweave.methods.ica.whitening import WhitenedRows, whitening
from unweave.methods.linear import LinearDictionary


def _deviation_from_identity(matrix: Tensor) -> float:
    """Largest absolute entry of M - I."""
    return float((matrix - torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)).abs().max())


def fit(
    activations: Activations,
    settings: Settings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint = NOTHING_KEPT,  # noqa: ARG001
) -> Fit:
    """Fit W = U K (readers) and A = K+ U^T (atoms) with U orthogonal and K whitening.

    Codes have zero mean and unit variance over the fitted rows; `whitening_error` is the largest entry of
    |W Cov W^T - I| as measured on those rows. With all d components decoding undoes encoding.

    The history is that of the attempt whose dictionary is returned; diagnostics list all of them. Adaptive refit is
    our reading of a step that the paper names but its code lacks (see `refit`).

    Raises
    ------
    UnweaveError
        if the rows span fewer directions than there are components.
    """
    statistics = activations.statistics(row_norm=settings.row_norm)
    full = whitening(statistics, settings.n_components, device)
    rows = WhitenedRows(activations, full, row_norm=settings.row_norm, memory_gb=settings.memory_gb, device=device)
    made = attempts(rows, settings, seed, device)
    best = chosen(made)

    contrast = CONTRASTS[settings.contrast]
    rotation = best.run.rotation
    q = rotation.shape[0]
    moments = component_moments(rows.blocks(q), rotation, contrast)
    strength, skewness = (moments.contrast - contrast.gaussian_mean).abs(), moments.skewness
    if settings.order == "strength":
        order = strength.argsort(descending=True, stable=True)
        rotation, strength, skewness = rotation[order], strength[order], skewness[order]
    if settings.sign == "skewness":
        signs = torch.where(skewness < 0, -1.0, 1.0).to(rotation)
        rotation, skewness = rotation * signs[:, None], skewness * signs

    dictionary = LinearDictionary.build(
        full.mean, rotation @ full.matrix[:q], rotation @ full.inverse[:, :q].T, row_norm=settings.row_norm
    )
    return Fit(
        dictionary,
        diagnostics={
            "n_components": q,
            "iterations": best.run.iterations,
            "converged": best.verdict.converged,
            "accepted": best.verdict.accepted,
            "acceptance": best.verdict.reason,
            "max_lim": best.max_lim,
            "p95_lim": best.p95_lim,
            "attempts": [attempt.record() for attempt in made],
            "strength": strength.tolist(),
            "skewness": skewness.tolist(),
            "whitening_error": _deviation_from_identity(moments.covariance),
            "orthogonality": _deviation_from_identity(rotation @ rotation.T),
        },
        history=best.run.history,
    )
