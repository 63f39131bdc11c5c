"""Activations whose features are known, because they were planted."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from unweave.evaluations.synthetic.settings import WorldSettings

MOST_OFTEN = 0.5
"""Largest probability with which a feature fires."""
NO_PARENT = -1


def _generator(*key: int) -> torch.Generator:
    mixed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1
    return torch.Generator().manual_seed(mixed)


def zipf_probabilities(features: int, exponent: float, total: float) -> Tensor:
    """Probabilities (features,) min(1/2, c / i^exponent) for i = 1, 2, ..., in float64.

    c is such that they sum to `total`, which is at most half of the features.
    """
    weights = torch.arange(1, features + 1, dtype=torch.float64) ** -exponent
    low, high = 0.0, features**exponent
    for _ in range(200):
        middle = (low + high) / 2
        if float((middle * weights).clamp_max(MOST_OFTEN).sum()) < total:
            low = middle
        else:
            high = middle
    probabilities: Tensor = (high * weights).clamp_max(MOST_OFTEN)
    return probabilities


def binary_entropy(probabilities: Tensor) -> Tensor:
    """Entropy in bits of coins that show heads with the given probabilities."""
    nats: Tensor = torch.special.entr(probabilities) + torch.special.entr(1 - probabilities)
    return nats / math.log(2)


@dataclass(frozen=True)
class Sample:
    """n tokens of a world."""

    x: Tensor
    """(n, d) float32."""
    fires: Tensor
    """(n, N) bool: which features fire."""


@dataclass(frozen=True)
class World:
    """N planted features: a pure function of its settings and its seed."""

    settings: WorldSettings
    seed: int
    bases: Tensor
    """(sum of the dimensions, d) float32: an orthonormal basis of the subspace of each feature, in order."""
    probabilities: Tensor
    """(N,) float64: how often each feature fires."""
    parents: Tensor
    """(N,) feature without which each one does not fire, or -1."""
    loadings: Tensor
    """(N, rank) float64: weights of the common factors behind each firing; squares sum to `copula_strength`."""

    @classmethod
    def planted(cls, settings: WorldSettings, seed: int) -> "World":
        """Draw the subspaces and what couples the firings."""
        generator = _generator(seed, 0)
        n, d = settings.features, settings.d
        if settings.orthogonal:
            drawn = torch.randn(d, d, generator=generator, dtype=torch.float64)
            bases = torch.linalg.qr(drawn)[0][: sum(settings.widths)]
        else:
            draws = (torch.randn(d, width, generator=generator, dtype=torch.float64) for width in settings.widths)
            bases = torch.cat([torch.linalg.qr(draw)[0].T for draw in draws])
        parents = torch.full((n,), NO_PARENT)
        loadings = torch.zeros(n, settings.copula_rank, dtype=torch.float64)
        if settings.firing == "exact":
            probabilities = torch.full((n,), settings.active / n, dtype=torch.float64)
        elif settings.firing == "hierarchical":
            probabilities, parents = _family(settings)
        else:
            probabilities = zipf_probabilities(n, settings.zipf, settings.active)
        if settings.firing == "correlated":
            drawn = torch.randn(loadings.shape, generator=generator, dtype=torch.float64)
            loadings = torch.nn.functional.normalize(drawn) * settings.copula_strength**0.5
        return cls(settings, seed, bases.float(), probabilities, parents, loadings)

    @cached_property
    def feature_of_row(self) -> Tensor:
        """Feature that each row of `bases` belongs to."""
        return torch.repeat_interleave(torch.tensor(self.settings.widths))

    @property
    def entropy(self) -> float | None:
        """Bits of which features fire on a token; None in a correlated world, where it has no closed form."""
        settings = self.settings
        if settings.firing == "correlated":
            return None
        if settings.firing == "exact":
            return math.log2(math.comb(settings.features, round(settings.active)))
        rooted = self.parents == NO_PARENT
        bits = float(binary_entropy(self.probabilities[rooted]).sum())
        coin = float(binary_entropy(torch.tensor(settings.child_probability, dtype=torch.float64)))
        return bits + coin * float(self.probabilities[self.parents[~rooted]].sum())

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise in each dimension; a feature that fires has power 1 + magnitude_spread^2."""
        settings = self.settings
        power = float(self.probabilities.sum()) * (1 + settings.magnitude_spread**2)
        return math.sqrt(settings.noise * power / settings.d)

    def sample(self, n: int, stream: int) -> Sample:
        """Draw n tokens; another `stream` is an independent sample of the same world."""
        generator = _generator(self.seed, 1, stream)
        settings = self.settings
        fires = self._firings(n, generator)
        magnitudes = (1 + settings.magnitude_spread * torch.randn(fires.shape, generator=generator)).abs() * fires
        x = (self._points(n, generator) * magnitudes[:, self.feature_of_row]) @ self.bases
        return Sample(x + self.noise_std * torch.randn(x.shape, generator=generator), fires)

    def _firings(self, n: int, generator: torch.Generator) -> Tensor:
        settings = self.settings
        shape = (n, settings.features)
        if settings.firing == "exact":
            chosen = torch.rand(shape, generator=generator).topk(round(settings.active), dim=1).indices
            return torch.zeros(shape, dtype=torch.bool).scatter_(1, chosen, True)
        if settings.firing == "correlated":
            common = torch.randn(n, settings.copula_rank, generator=generator) @ self.loadings.float().T
            own = torch.randn(shape, generator=generator) * (1 - settings.copula_strength) ** 0.5
            limits: Tensor = torch.special.ndtri(self.probabilities)
            below: Tensor = common + own < limits.float()
            return below
        rooted = self.parents == NO_PARENT
        alone = torch.where(rooted, self.probabilities, settings.child_probability)
        fires = torch.rand(shape, generator=generator) < alone.float()
        return fires & (rooted | fires[:, self.parents.clamp_min(0)])

    def _points(self, n: int, generator: torch.Generator) -> Tensor:
        """Coordinates (n, rows of `bases`) of a point of mean square 1 in the subspace of every feature."""
        widths = torch.tensor(self.settings.widths)[self.feature_of_row]
        points = torch.randn(n, len(widths), generator=generator)
        if self.settings.coordinates == "sphere":
            squares = torch.zeros(n, self.settings.features).index_add_(1, self.feature_of_row, points.square())
            points /= squares.sqrt()[:, self.feature_of_row]
        else:
            points /= widths.sqrt()
        return torch.where(widths == 1, 1.0, points)


def _family(settings: WorldSettings) -> tuple[Tensor, Tensor]:
    """Probabilities (N,) and parents (N,): the first features are roots, and every other one is a child of a root."""
    n, roots = settings.features, settings.roots
    parents = torch.full((n,), NO_PARENT)
    parents[roots:] = torch.arange(n - roots) % roots
    of_roots = zipf_probabilities(roots, settings.zipf, settings.active_roots)
    children = of_roots[parents[roots:]] * settings.child_probability
    return torch.cat([of_roots, children]), parents
