"""The iterations of semi-NMF: their state, when they stop, and how they go on after a kill."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from unweave.activations.source import Activations
from unweave.errors import UnweaveError
from unweave.methods.checkpoint import Checkpoint
from unweave.methods.snmf import descent, multiplicative
from unweave.methods.snmf.features import kept_neurons
from unweave.methods.snmf.initialisation import initial_coefficients
from unweave.methods.snmf.moments import pass_over, squared_error
from unweave.methods.snmf.neurons import NeuronBlocks
from unweave.methods.snmf.settings import Initialisation, SolverSettings
from unweave.progress import meter

SMALLEST_NORM = 1e-8
"""What the norm of a feature's coefficients is taken for where it is smaller."""
REVIVAL_EVERY = 5
"""Iterations from one search for dead features to the next: it reads the activations twice more if there are any."""
STABLE_SUPPORT = 0.999
"""Jaccard overlap of two iterations' sets of kept neurons."""


@dataclass
class Iterate:
    """One pair of factors."""

    features: Tensor | None
    """Z^T (k, d) float64, scaled so that the coefficients of each feature had unit norm when it was fitted"""
    coefficients: list[Tensor]
    """Blocks y (k, b) float32"""
    error: float
    """||A - Z Y||_F^2"""
    iteration: int = 0


@dataclass
class Factorisation:
    """The state of a fit. `step` makes one iteration; `best` is the iterate of smallest error so far."""

    neurons: NeuronBlocks
    settings: SolverSettings
    now: Iterate
    best: Iterate = field(init=False)
    errors: list[float] = field(default_factory=list)
    """Squared error after each iteration, as a share of ||A||^2."""
    overlaps: list[float] = field(default_factory=list)
    """Jaccard overlap of the neurons that features keep with those of the iteration before."""
    revived: int = 0

    def __post_init__(self) -> None:
        self.best = self.now
        self.s = kept_neurons(self.settings.sparsity, self.neurons.d)
        _, self.moments = pass_over(self.neurons, self.now.coefficients, None)

    def step(self) -> float:
        """Make one iteration and return its squared error as a share of ||A||^2."""
        robust = self.settings.solver == "robust"
        moments, s = self.moments, self.s
        features = descent.features(self.now.features, moments, s) if robust else multiplicative.features(moments, s)
        norms = moments.gram_kk.diagonal().sqrt().clamp_min(SMALLEST_NORM)
        features = features * norms[:, None]
        solve = (descent if robust else multiplicative).coefficient_update(features)
        shrink = (1 / norms).float()[:, None]

        def update(x_db: Tensor, y_kb: Tensor) -> None:
            solve(x_db, y_kb.mul_(shrink))

        previous = self.now.features
        coefficients, self.moments = pass_over(
            self.neurons, self.now.coefficients, update, in_place=robust or self.now is not self.best
        )
        iteration = self.now.iteration + 1
        if robust and iteration % REVIVAL_EVERY == 0:
            features, revived = descent.revive(self.neurons, coefficients, features, self.moments.gram_kk, s)
            if revived:
                _, self.moments = pass_over(self.neurons, coefficients, None)
                self.revived += revived
        error = squared_error(self.neurons.squared_norm, features, self.moments)
        if not abs(error) < torch.inf:
            raise UnweaveError(f"semi-NMF: the error is {error} in iteration {iteration}: set solver to robust")
        self.now = Iterate(features, coefficients, error, iteration)
        self.errors.append(error / self.neurons.squared_norm)
        self.overlaps.append(0.0 if previous is None else _overlap(features != 0, previous != 0))
        if robust or self.best.features is None or error < self.best.error - self.settings.tolerance:
            self.best = self.now
        return self.errors[-1]

    @property
    def settled(self) -> bool:
        """Whether the stopping rule of the solver is met."""
        patience, tolerance = self.settings.patience, self.settings.tolerance
        if self.settings.solver == "multiplicative":
            return self.now.iteration - self.best.iteration >= patience
        if len(self.errors) <= patience:
            return False
        before, after = self.errors[-1 - patience], self.errors[-1]
        return before - after <= tolerance * before and min(self.overlaps[-patience:]) > STABLE_SUPPORT


def _overlap(one: Tensor, other: Tensor) -> float:
    return float((one & other).sum()) / max(1, int((one | other).sum()))


def factorise(
    activations: Activations,
    n_features: int,
    initialisation: Initialisation,
    settings: SolverSettings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint,
    title: str,
) -> Factorisation:
    """Iterate until the solver's stopping rule is met, or `settings.iterations` times.

    A fit that goes on from a checkpoint ends in the same bytes as one that was never interrupted.

    Raises
    ------
    UnweaveError
        if the activations are not finite or all zero, there are fewer tokens than features, or the error overflows.
    """
    neurons = NeuronBlocks(activations, settings.memory_gb, device)
    fit = _resumed(neurons, settings, checkpoint)
    if fit is None:
        start = initial_coefficients(initialisation, activations, neurons, n_features, seed)
        fit = Factorisation(neurons, settings, Iterate(None, start, neurons.squared_norm))
    with meter(title, settings.iterations, fit.now.iteration, unit="iterations") as advance:
        while fit.now.iteration < settings.iterations and not fit.settled:
            advance(1, f"relative error {fit.step():.5f}")
            if checkpoint.due:
                _keep(fit, checkpoint)
    return fit


def _keep(fit: Factorisation, checkpoint: Checkpoint) -> None:
    tensors, facts = {}, {"errors": fit.errors, "overlaps": fit.overlaps, "revived": fit.revived}
    for name, iterate in {"now": fit.now, "best": fit.best}.items():
        if name == "best" and fit.best is fit.now:
            continue
        assert iterate.features is not None
        tensors[f"{name}.features"] = iterate.features
        tensors |= {f"{name}.{i}": y_kb for i, y_kb in enumerate(iterate.coefficients)}
        facts[name] = {"error": iterate.error, "iteration": iterate.iteration, "blocks": len(iterate.coefficients)}
    checkpoint.save(tensors, facts)


def _resumed(neurons: NeuronBlocks, settings: SolverSettings, checkpoint: Checkpoint) -> Factorisation | None:
    kept = checkpoint.load()
    if kept is None:
        return None
    tensors, facts = kept

    def iterate(name: str) -> Iterate:
        about = facts[name]
        blocks = [tensors[f"{name}.{i}"].to(neurons.device, copy=True) for i in range(about["blocks"])]
        return Iterate(tensors[f"{name}.features"].to(neurons.device), blocks, about["error"], about["iteration"])

    # The moments are summed again in the constructor: the same blocks, in the same order and, as copies, as aligned.
    fit = Factorisation(neurons, settings, iterate("now"))
    fit.errors, fit.overlaps, fit.revived = facts["errors"], facts["overlaps"], facts["revived"]
    if "best" in facts:
        fit.best = iterate("best")
    return fit
