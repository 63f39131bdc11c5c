"""Scores that compare a dictionary with what was planted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.evaluations.intervals import mean_interval
from unweave.evaluations.synthetic.recovery import (
    Firings,
    Overlaps,
    carriers,
    linear_readers,
    one_to_one,
    overlaps,
    uniqueness,
)
from unweave.evaluations.synthetic.world import World, binary_entropy
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

CONTROL, PLANTED = "random directions", "planted"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A dictionary in a world, on a sample of it; `name` stands for a data set."""

    name: str
    world: World
    dictionary: Dictionary
    firings: Firings
    ranks: Mapping[str, Tensor]
    """Dimensions (U,) of each unit, by how they are counted."""
    covariance: Tensor
    """(d, d) float64 of the sample."""
    seed: int

    def scores(self) -> list[Score]:
        """Every score, with its control."""
        return [*self._directions(), *self._detections(), *self._splitting(), *self._ranks(), *self._entropies()]

    @cached_property
    def _atoms(self) -> Tensor:
        return self.dictionary.atoms.detach().cpu()

    @cached_property
    def _widths(self) -> NDArray[np.int64]:
        return np.array(self.world.settings.widths)

    def _overlaps(self, directions: Tensor, bases: Tensor | None = None) -> Overlaps:
        size = self.dictionary.traits.group_size
        return overlaps(directions, size, self.world.bases if bases is None else bases, self.world.feature_of_row)

    @cached_property
    def _ours(self) -> Overlaps:
        return self._overlaps(self._atoms)

    def _score(self, metric: str, value: float, n: int, unit: str = "1", **key: Any) -> Score:
        return Score(metric=metric, value=value, dataset=self.name, n=n, unit=unit, seed=self.seed, **key)

    def _mean(self, metric: str, values: Floats, **key: Any) -> Score:
        """Mean of `values` (units or features,) with its interval."""
        low, high = mean_interval(values, self.seed) if len(values) > 1 else (None, None)
        return self._score(metric, float(values.mean()), len(values), ci_low=low, ci_high=high, **key)

    def _by_dimension(self, metric: str, values: Floats, **key: Any) -> Iterator[Score]:
        """Mean of `values` (N,) over the features of each dimension."""
        for width in np.unique(self._widths):
            of_width = values[self._widths == width]
            yield self._mean(metric, of_width, x_name="dimension", x=float(width), **key)

    def _directions(self) -> Iterator[Score]:
        random = torch.randn(self._atoms.shape, generator=torch.Generator().manual_seed(self.seed))
        for label, found in (("", self._ours), (CONTROL, self._overlaps(random))):
            units, features = one_to_one(found.similarity)
            matched = found.similarity[units, features].numpy()
            yield self._mean("mcc_atoms", matched, higher_is_better=True, label=label)
            captured = np.zeros(len(self._widths))
            captured[features] = found.capture[units, features].numpy()
            yield from self._by_dimension("capture", captured, higher_is_better=True, label=label)
        readers = self.dictionary.readers
        if readers is not None:
            best = linear_readers(self.world.bases, self.world.feature_of_row, self.covariance)
            for label, directions in (("", readers.detach().cpu()), (CONTROL, random)):
                similarity = self._overlaps(directions, best).similarity
                matched = similarity[one_to_one(similarity)].numpy()
                yield self._mean("mcc_readers", matched, higher_is_better=True, label=label)
        similarity = self._ours.similarity
        yield self._score("uniqueness", uniqueness(similarity), len(similarity), higher_is_better=True)

    def _detections(self) -> Iterator[Score]:
        similarity = self._ours.similarity
        best = self.firings.detection(torch.arange(len(similarity)), similarity.argmax(dim=1))
        for name, values in best._asdict().items():
            yield self._mean(f"unit_{name}", values.numpy(), higher_is_better=True)
        units, features = (torch.from_numpy(part) for part in one_to_one(similarity))
        of_features = torch.zeros(len(self._widths), dtype=torch.float64)
        of_features[features] = self.firings.detection(units, features).f1
        yield self._mean("feature_f1", of_features.numpy(), higher_is_better=True)

    def _splitting(self) -> Iterator[Score]:
        size = self.dictionary.traits.group_size
        for metric, unit, divisor in (("splitting_ratio", 1, self._widths), ("units_per_feature", size, 1)):
            counts = carriers(self.firings, self._atoms, self.world.bases, self.world.feature_of_row, unit)
            yield from self._by_dimension(metric, counts.double().numpy() / divisor, higher_is_better=False)

    def _ranks(self) -> Iterator[Score]:
        units, features = one_to_one(self._ours.similarity)
        counted = {label: ranks.numpy()[units] for label, ranks in self.ranks.items()}
        if counted:
            counted[PLANTED] = self._widths[features]
        for label, ranks in counted.items():
            of_features = np.zeros(len(self._widths))
            of_features[features] = ranks
            yield from self._by_dimension(
                "matched_rank", of_features, unit="dimensions", higher_is_better=None, label=label
            )

    def _entropies(self) -> Iterator[Score]:
        units = self.firings.of_units
        bits = float(binary_entropy(units / self.firings.n).sum())
        yield self._score("firing_entropy", bits, len(units), "bits", higher_is_better=None)
        planted = self.world.entropy
        if planted is not None:
            features = len(self._widths)
            yield self._score("firing_entropy", planted, features, "bits", higher_is_better=None, label=PLANTED)
