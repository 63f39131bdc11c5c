"""Whether one concept of several dimensions becomes one feature (Subspace-Aware SAE, Sections 3 and 4, Figure 1).

The dictionary's own method is fitted, with its own settings but those that `method_settings` replaces, to points of one
shape in a subspace of m of d dimensions. A unit is a group of codes, or a code where there are no groups; `columns` is
units x codes of a unit, so that dictionaries of as many columns and as many active ones compare. The language model and
its corpora play no part. `shape` stands for the data set.

Consolidation, on new points without noise:
- `units`: that write most for 0.5 % of the points or more; `columns` of them; `top_share` of the points for the first.
- `carriers`: fewest units that write nine tenths of all energy.
- `error`: squared error / power; `span_sine`: sine of the largest angle between the planted subspace and the first m
  principal directions of what the first unit writes: 1 if it writes fewer dimensions than the concept has.

Covering, of shapes in which every direction occurs (SASA, Definition 2, `x` is eps):
- `covered`: share of the directions within eps of the span of some unit; `covering_number`: fewest units, by a greedy
  choice, that cover nine tenths; left out where the choice does not reach that. `fewest lines` is what single
  directions need at least: an exact bound, which grows exponentially with m. Control `random in the subspace`: as many
  random units of the concept's own subspace, so that groups of m codes or more cover it whatever they are.
- `covering_number` of `two units`: the same where a direction is within eps of the span of two of the chosen units;
  control and bound of `two units` beside it.

Sample complexity, fitted to n noisy points in as many steps whatever n (`x` is n), on new points without noise:
- `sample_error`: squared error / power; `sample_sine`: sine of the largest angle between the planted subspace and the
  first m principal directions of all that is written. Control: principal directions of the n points themselves,
  `pca`, as good as the noise allows.

Control of consolidation, `random directions`: as many random units, the nearest of which rebuilds each point.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from unweave.activations.memory import InMemoryActivations
from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.consolidation.covering import (
    fewest_lines,
    fewest_lines_in_pairs,
    greedy_cover,
    greedy_cover_by_pairs,
    sines,
)
from unweave.evaluations.consolidation.manifolds import Manifold, Shape
from unweave.evaluations.consolidation.units import OWNS, carriers, energies, largest_sine, owned_shares, principal_span
from unweave.evaluations.evaluation import EvaluationData, Refit
from unweave.evaluations.intervals import Floats, Interval, ratio_interval, resampling_weights
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

CONTROL, INSIDE = "random directions", "random in the subspace"
LINES, PCA = "fewest lines", "pca"
PAIRS = "two units"
PAIRS_INSIDE, PAIRS_OF_LINES = f"{PAIRS}, {INSIDE}", f"{PAIRS}, {LINES}"
TRAIN, TEST = 0, 1
"""Streams of points."""


class Settings(Strict):
    """Settings of consolidation."""

    d: Annotated[int, Field(ge=4)] = Field(default=64, description="dimensions of the activations")
    shapes: Annotated[list[Shape], Field(min_length=1)] = Field(
        default=["circle", "sphere", "hypersphere", "helix"], description="of 2, 3, 4 and 3 dimensions"
    )
    noise: Annotated[float, Field(ge=0)] = Field(
        default=0.01, description="standard deviation in each coordinate; points have mean square 1"
    )
    tokens: Annotated[int, Field(ge=1000)] = Field(default=20_000, description="points that the method is fitted to")
    test_tokens: Annotated[int, Field(ge=1000)] = Field(default=2_000, description="points that it is measured on")
    eps: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default=[0.5, 0.3, 0.1], description="distances within which a unit covers a direction"
    )
    sample_sizes: list[Annotated[int, Field(ge=16)]] = Field(
        default=[64, 256, 1024, 4096], description="points that the sample complexity is measured with"
    )
    sample_shape: Shape = Field(default="sphere", description="of the sample complexity")
    sample_noise: Annotated[float, Field(ge=0)] = Field(default=0.05, description="instead of `noise` there")
    sample_steps: Annotated[int, Field(ge=1)] = Field(
        default=1500, description="of training there, where a method has steps; a batch is the smallest sample"
    )
    method_settings: dict[str, Any] = Field(
        default={},
        description="settings of the method that are replaced, where it has them; `gate.k` is the setting k of gate",
    )


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:  # noqa: ARG001
    """Scores of the dictionary's method on every shape and every sample size.

    Raises
    ------
    UnweaveError
        if it is not known how the dictionary was fitted, or its method cannot be fitted to a shape.
    """
    if data.refit is None:
        raise UnweaveError(
            "how the dictionary was fitted is not known, so that its method cannot be fitted to planted shapes: "
            "leave it out with `methods` of the evaluation"
        )
    weights = resampling_weights(settings.test_tokens, seed)
    scores: list[Score] = []
    for shape in settings.shapes:
        manifold = Manifold.planted(shape, settings.d, seed)
        train = manifold.points(settings.tokens, TRAIN, settings.noise)
        fitted = _fitted(data.refit, shape, train, settings.method_settings)
        test = manifold.points(settings.test_tokens, TEST).to(data.device)
        table = _Table(shape, seed, weights)
        scores += consolidation_scores(table, fitted, manifold, test)
        if manifold.round:
            scores += covering_scores(table, fitted, manifold, test, settings.eps)
    if settings.sample_sizes:
        scores += _sample_scores(data, data.refit, settings, weights, seed)
    return scores


def _fitted(refit: Refit, shape: str, x: Tensor, replaced: Mapping[str, Any]) -> Dictionary:
    try:
        # Evaluations run in inference mode, and a fit cannot learn from tensors that were made in it.
        with torch.inference_mode(False), torch.no_grad():
            rows = InMemoryActivations(x.clone())
        fitted = refit(rows, replaced)
    except UnweaveError as error:
        raise UnweaveError(f"{shape}: {error}") from None
    if fitted.atoms.shape[1] != x.shape[1]:
        raise UnweaveError(
            f"{shape}: its activations have {x.shape[1]} dimensions, and the method made a dictionary of "
            f"{fitted.atoms.shape[1]}: leave it out with `methods` of the evaluation"
        )
    return fitted


def _random_blocks(dictionary: Dictionary, seed: int) -> Tensor:
    """Draw units (U, r, d) of Gaussian directions, as many as the dictionary has."""
    size = dictionary.traits.group_size
    # From numpy: torch's numbers of the same seed may be those that the method began with.
    drawn = torch.from_numpy(np.random.default_rng(seed).standard_normal(tuple(dictionary.atoms.shape)))
    return drawn.reshape(-1, size, drawn.shape[1]).to(dictionary.atoms.device)


def _blocks(dictionary: Dictionary) -> Tensor:
    atoms = dictionary.atoms.double()
    return atoms.reshape(-1, dictionary.traits.group_size, atoms.shape[1])


def consolidation_scores(table: "_Table", dictionary: Dictionary, manifold: Manifold, x: Tensor) -> list[Score]:
    """Over how many units points x (n, d) are spread."""
    size, m = dictionary.traits.group_size, len(manifold.basis)
    codes = dictionary.encode(x)
    energy = energies(dictionary, codes)
    first = int(energy.sum(dim=0).argmax())
    columns = slice(first * size, (first + 1) * size)
    written = codes[:, columns].double() @ dictionary.atoms[columns].double()
    sine = largest_sine(principal_span(written, m), manifold.basis.to(written))
    reach = (1 - sines(x / x.norm(dim=1, keepdim=True), _random_blocks(dictionary, table.seed)).square()).clamp_min(0)
    strongest = torch.zeros_like(reach).scatter_(1, reach.argmax(dim=1, keepdim=True), reach.amax(1, keepdim=True))
    scores = [
        table.value("span_sine", sine, len(x)),
        table.mean("error", (dictionary.decode(codes, like=x) - x).double().square().sum(dim=1), x),
        table.mean("error", (1 - reach.amax(dim=1)) * x.double().square().sum(dim=1), x, CONTROL),
    ]
    for label, of_label in (("", energy), (CONTROL, strongest)):
        shares = owned_shares(of_label)
        units = int((shares >= OWNS).sum())
        scores += [
            table.value("units", units, len(x), "units", label),
            table.value("columns", units * size, len(x), "codes", label),
            table.value("carriers", carriers(of_label), len(x), "units", label),
            table.share("top_share", (of_label.argmax(dim=1) == shares.argmax()) & (of_label.amax(dim=1) > 0), label),
        ]
    return scores


def covering_scores(
    table: "_Table", dictionary: Dictionary, manifold: Manifold, x: Tensor, eps: Sequence[float]
) -> list[Score]:
    """How many units cover the directions of points x (n, d) of a round shape, with the bounds of single directions."""
    directions = x / x.norm(dim=1, keepdim=True)
    scores: list[Score] = []

    def number(count: int | None, label: str, radius: float) -> None:
        if count is not None:
            scores.append(table.value("covering_number", count, len(x), "units", label, "eps", radius))

    inside = manifold.basis.to(directions.device)
    random = _random_blocks(dictionary, table.seed) @ inside.T @ inside
    for label, in_pairs, blocks in (("", PAIRS, _blocks(dictionary)), (INSIDE, PAIRS_INSIDE, random)):
        distances = sines(directions, blocks)
        for radius in eps:
            covers = distances <= radius
            scores.append(table.share("covered", covers.any(dim=1), label, "eps", radius))
            number(greedy_cover(covers), label, radius)
            number(greedy_cover_by_pairs(directions, blocks, radius), in_pairs, radius)
    for radius in eps:
        number(fewest_lines(len(inside), radius), LINES, radius)
        number(fewest_lines_in_pairs(len(inside), radius), PAIRS_OF_LINES, radius)
    return scores


def _sample_scores(data: EvaluationData, refit: Refit, settings: Settings, weights: Floats, seed: int) -> list[Score]:
    shape = settings.sample_shape
    manifold = Manifold.planted(shape, settings.d, seed)
    m, planted = len(manifold.basis), manifold.basis.to(data.device)
    test = manifold.points(settings.test_tokens, TEST).to(data.device)
    table = _Table(shape, seed, weights)
    batch = min(settings.sample_sizes)
    replaced = settings.method_settings | {"batch_size": batch, "tokens": batch * settings.sample_steps}
    scores: list[Score] = []
    for n in settings.sample_sizes:
        train = manifold.points(n, TRAIN, settings.sample_noise)
        fitted = _fitted(refit, f"{shape} of {n} points", train, replaced)
        rebuilt = fitted.decode(fitted.encode(test), like=test).double()
        axes = principal_span(train.to(data.device), m)
        for label, output, span in (
            ("", rebuilt, principal_span(rebuilt - rebuilt.mean(dim=0), m)),
            (PCA, test.double() @ axes.T @ axes, axes),
        ):
            error = (output - test).square().sum(dim=1)
            scores.append(table.mean("sample_error", error, test, label, "n", n))
            scores.append(table.value("sample_sine", largest_sine(span, planted), n, "1", label, "n", n))
    return scores


@dataclass(frozen=True)
class _Table:
    """Makes scores of one shape; `weights` resample the test points."""

    shape: str
    seed: int
    weights: Floats

    def value(
        self,
        metric: str,
        value: float,
        n: int,
        unit: str = "1",
        label: str = "",
        x_name: str = "",
        x: float | None = None,
        interval: Interval | tuple[None, None] = (None, None),
        better: bool = False,
    ) -> Score:
        return Score(
            metric=metric,
            value=float(value),
            dataset=self.shape,
            n=n,
            unit=unit,
            higher_is_better=better,
            ci_low=interval[0],
            ci_high=interval[1],
            x_name=x_name,
            x=x,
            label=label,
            seed=self.seed,
        )

    def mean(
        self, metric: str, errors: Tensor, points: Tensor, label: str = "", x_name: str = "", x: float | None = None
    ) -> Score:
        """Sum of squared errors (n,) over the power of points (n, d)."""
        numerators = errors.double().cpu().numpy()
        powers = points.double().square().sum(dim=1).cpu().numpy()
        interval = ratio_interval(numerators, powers, self.weights)
        value = float(numerators.sum() / powers.sum())
        return self.value(metric, value, len(numerators), "1", label, x_name, x, interval)

    def share(self, metric: str, holds: Tensor, label: str = "", x_name: str = "", x: float | None = None) -> Score:
        """Share of the points (n,) of which something holds."""
        values = holds.double().cpu().numpy()
        interval = ratio_interval(values, np.ones_like(values), self.weights)
        return self.value(metric, float(values.mean()), len(values), "1", label, x_name, x, interval, better=True)
