"""Exact block coordinate descent on the same problem: the error never rises, and dead features come back."""

import torch
from torch import Tensor

from unweave.methods.snmf.features import (
    least_squares_on,
    lower_by_neuron,
    ridge_solution,
    sparse_descent,
    strongest,
)
from unweave.methods.snmf.moments import Moments, Update, error_by_neuron, projection
from unweave.methods.snmf.neurons import NeuronBlocks

COEFFICIENT_SWEEPS = 2
"""Per iteration. On MLP activations one or three take longer to the same error."""
WORTH_REVIVING = 1e-6
"""Squared residual of a token, as a share of the mean squared norm, below which no feature is spent on it."""


def features(previous_kd: Tensor | None, moments: Moments, s: int) -> Tensor:
    """Features (k, d) for given coefficients, with at most s neurons each and no larger an error than before.

    The s largest entries of the ridge solution, fitted again on these, are taken while they lower the error further
    than a fit on the old neurons does: they change many neurons at once and so leave poor starts behind. When they no
    longer do, each feature in turn becomes the best s-sparse one given the others, and then every neuron is regressed
    on the features that keep it. On MLP activations the first kind of step alone stops early, and on planted features
    the second kind alone does.
    """
    solution = ridge_solution(moments)
    if s == moments.products_kd.shape[1]:
        return solution if previous_kd is None else lower_by_neuron(solution, previous_kd, moments)
    chosen = least_squares_on(strongest(solution, s), moments)
    if previous_kd is None:
        return chosen
    refitted = _refitted(previous_kd, moments)
    if error_by_neuron(chosen, moments).sum() < error_by_neuron(refitted, moments).sum():
        return chosen
    return _refitted(sparse_descent(refitted, moments, s), moments)


def _refitted(features_kd: Tensor, moments: Moments) -> Tensor:
    """Regress every neuron on the features that keep it; no neuron's error rises."""
    return lower_by_neuron(least_squares_on(features_kd != 0, moments), features_kd, moments)


def coefficient_update(features_kd: Tensor) -> Update:
    """Sweeps of hierarchical alternating least squares (HALS): each coefficient in turn to its non-negative optimum."""
    project = projection(features_kd)
    gram_kk = (features_kd @ features_kd.T).float()
    weights = gram_kk.diagonal().clone()
    alive = (weights > 0).nonzero()[:, 0].tolist()
    inverse_k1 = torch.where(weights > 0, 1 / weights, 0)[:, None]
    others_kk = (gram_kk * inverse_k1).fill_diagonal_(0)

    def update(x_db: Tensor, y_kb: Tensor) -> None:
        target = project(x_db).mul_(inverse_k1)
        for _ in range(COEFFICIENT_SWEEPS):
            for j in alive:
                torch.clamp(torch.addmv(target[j], y_kb.T, others_kk[j], alpha=-1), min=0, out=y_kb[j])

    return update


def revive(
    neurons: NeuronBlocks, coefficients: list[Tensor], features_kd: Tensor, gram_kk: Tensor, s: int
) -> tuple[Tensor, int]:
    """Give each dead feature (no neurons, or no tokens) the residual of one of the worst reconstructed tokens.

    Each gets another token, with coefficient 1 there and the s largest entries of its residual as neurons, which
    lowers the error by their sum of squares. Returns the features and how many were revived; coefficients are changed
    in place. Fewer are revived where fewer tokens have a residual worth it.
    """
    dead = ((gram_kk.diagonal() == 0) | (features_kd == 0).all(dim=1)).nonzero()[:, 0].tolist()
    if not dead:
        return features_kd, 0
    z_kd = features_kd.float()
    residuals = [
        torch.linalg.vector_norm(x_db - z_kd.T @ y_kb, dim=0, dtype=torch.float64).square()
        for x_db, y_kb in zip(neurons, coefficients, strict=True)
    ]
    errors = torch.cat(residuals)
    worst = errors.argsort(descending=True, stable=True)[: len(dead)]
    worth = errors[worst] > WORTH_REVIVING * neurons.squared_norm / neurons.n
    chosen = dict(zip(worst[worth].tolist(), dead, strict=False))
    revived_kd = features_kd.clone()
    start = 0
    for x_db, y_kb in zip(neurons, coefficients, strict=True):
        for token in sorted(t for t in chosen if start <= t < start + x_db.shape[1]):
            i, j = token - start, chosen[token]
            residual = (x_db[:, i] - z_kd.T @ y_kb[:, i]).double()
            revived_kd[j] = residual * strongest(residual, s)
        start += x_db.shape[1]
    start = 0
    for y_kb in coefficients:
        y_kb[list(chosen.values())] = 0
        for token, j in chosen.items():
            if start <= token < start + y_kb.shape[1]:
                y_kb[j, token - start] = 1
        start += y_kb.shape[1]
    return revived_kd, len(chosen)
