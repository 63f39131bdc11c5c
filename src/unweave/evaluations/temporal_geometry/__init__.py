"""Whether days of the week and months lie on a circle within one feature (Subspace-Aware SAE, Section 7, Appendix F).

A unit is a group of codes; in a dictionary without groups, the `columns` codes that tell the family best, so that units
have equally many coordinates. The unit of a family is the one whose strength best tells its terms from other nouns (AUC
over sentences of half of the templates). On the other half its codes are regressed on (cos, sin) of the calendar, whole
templates held out: `circular_r2`, and `order_alignment` |mean exp(i (predicted - true angle))|. The permutation test
moves whole labels on the circle (`p_value`), so that telling days apart does not pass for their order.

To look at: the first principal components of those codes (`first_component`, `second_component`, at a sentence each;
`explained_by_component`), and the norm of the unit along a few prompts, the last of them without any term (`norm`).

Controls: units drawn at random among those that fire (`random units`) and all coordinates of the activation, what could
be reached at most (`whole activation`).
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.metrics import roc_auc_score

from unweave.config import Site, Strict
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.intervals import percentile_interval
from unweave.evaluations.temporal_geometry.circle import circular_r2, order_alignment, permutation_test
from unweave.evaluations.temporal_geometry.components import standardised_components
from unweave.evaluations.temporal_geometry.prompts import FAMILIES, TEMPLATES, Terms, read_prompts, read_terms
from unweave.methods.dictionary import Dictionary
from unweave.models.hook_points import HookPoint
from unweave.models.language_model import load_language_model
from unweave.results.scores import Score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FOLDS = 3
COMPONENTS = 3
"""Principal components whose share of the variance is told."""


class Settings(Strict):
    """Settings of temporal geometry; it makes its own sentences."""

    columns: Annotated[int, Field(ge=1)] = Field(default=4, description="codes of a unit where there are no groups")
    permutations: Annotated[int, Field(ge=19)] = Field(default=199, description="of the labels of a family")
    random_units: Annotated[int, Field(ge=2)] = Field(default=20, description="that are drawn as a control")


def aucs(strengths: Floats, positive: NDArray[np.bool_]) -> Floats:
    """AUC (F,) of every feature's strength (n, F) for the rows that are `positive` (n,)."""
    return np.array([roc_auc_score(positive, column) for column in strengths.T])


def unit_of(auc: Floats, strengths: Floats, group_size: int, columns: int) -> Integers:
    """Codes of the unit of largest AUC: those of a group, or the `columns` single codes that tell best either way.

    `auc` and the columns of `strengths` are of groups, or of codes where there are none.
    """
    if group_size > 1:
        best = int(np.argmax(auc))
        return np.arange(best * group_size, (best + 1) * group_size)
    varies = strengths.std(axis=0) > 0
    order = np.argsort(-np.where(varies, np.abs(auc - 0.5), -1.0), kind="stable")
    return order[:columns]


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Score the selection, circularity and order of the units of both families, with controls.

    Raises
    ------
    UnweaveError
        if no feature fires on the terms of a family.
    """
    model = load_language_model(data.model_folder, torch.float32, data.device)
    point = HookPoint(cast(Site, data.site), data.layer)
    terms = read_terms(model, point)
    prompts = [
        (prompt.tokens, dictionary.encode(prompt.x).double().cpu().numpy()) for prompt in read_prompts(model, point)
    ]
    codes = dictionary.encode(terms.x)
    strengths = dictionary.strengths(codes).double().cpu().numpy()
    values, activations = codes.double().cpu().numpy(), terms.x.double().cpu().numpy()
    scores: list[Score] = []
    for number, (family, names) in enumerate(FAMILIES.items()):
        rng = np.random.default_rng([seed, number])
        size = dictionary.traits.group_size
        unit = chosen_unit(family, terms, strengths, size, settings.columns)
        scores += _family(family, len(names), unit, terms, values, strengths, activations, size, settings, rng, seed)
        scores += _components(family, names, values[_measured(terms, family)][:, unit], terms, seed)
        scores += _norms(family, unit, prompts, seed)
    return scores


def _chooses(terms: Terms) -> NDArray[np.bool_]:
    return terms.template < len(TEMPLATES) // 2


def _measured(terms: Terms, family: str) -> NDArray[np.bool_]:
    measured: NDArray[np.bool_] = ~_chooses(terms) & (terms.family == family)
    return measured


def chosen_unit(family: str, terms: Terms, strengths: Floats, group_size: int, columns: int) -> Integers:
    """Codes of the unit that tells a family best on the templates that choose.

    Raises
    ------
    UnweaveError
        if no feature fires on the terms of the family.
    """
    chooses, positive = _chooses(terms), terms.family == family
    if not (strengths[chooses & positive].std(axis=0) > 0).any():
        raise UnweaveError(f"no feature varies over the {family}s: leave temporal geometry out for this dictionary")
    auc = aucs(strengths[chooses], positive[chooses])
    return unit_of(auc, strengths[chooses & positive], group_size, columns)


def _components(family: str, names: Sequence[str], points: Floats, terms: Terms, seed: int) -> list[Score]:
    """Where each measured sentence lies on the first two principal components of the unit, and what they explain."""
    score = partial(Score, dataset=family, higher_is_better=None, seed=seed)
    coordinates, shares = standardised_components(points, COMPONENTS)
    places = terms.place[_measured(terms, family)]
    rows = [
        score(metric=metric, value=value, n=1, unit="standard deviations", x_name="sentence", x=i, label=names[place])
        for metric, column in zip(("first_component", "second_component"), coordinates.T, strict=False)
        for i, (value, place) in enumerate(zip(column.tolist(), places.tolist(), strict=True))
    ]
    return rows + [
        score(metric="explained_by_component", value=share, n=len(points), unit="1", x_name="component", x=i)
        for i, share in enumerate(shares.tolist(), start=1)
    ]


def _norms(family: str, unit: Integers, prompts: Sequence[tuple[list[str], Floats]], seed: int) -> list[Score]:
    return [
        Score(
            metric="norm",
            value=float(np.linalg.norm(codes[unit])),
            dataset=family,
            n=1,
            unit="code",
            higher_is_better=None,
            x_name=f"token of prompt {number}",
            x=place,
            label=token,
            seed=seed,
        )
        for number, (tokens, along) in enumerate(prompts, start=1)
        for place, (token, codes) in enumerate(zip(tokens, along, strict=True))
    ]


def _family(
    family: str,
    period: int,
    unit: Integers,
    terms: Terms,
    codes: Floats,
    strengths: Floats,
    activations: Floats,
    size: int,
    settings: Settings,
    rng: np.random.Generator,
    seed: int,
) -> list[Score]:
    chooses, positive = _chooses(terms), terms.family == family
    firing = strengths[chooses & positive].std(axis=0) > 0
    measured = _measured(terms, family)
    places, folds = terms.place[measured], terms.template[measured] % FOLDS
    strength = np.linalg.norm(codes[~chooses][:, unit], axis=1)
    p_value, null = permutation_test(codes[measured][:, unit], places, period, folds, settings.permutations, rng)

    def random_unit() -> Integers:
        chosen = rng.choice(np.flatnonzero(firing), size=1 if size > 1 else settings.columns, replace=size == 1)
        return np.arange(chosen[0] * size, (chosen[0] + 1) * size) if size > 1 else np.unique(chosen)

    def score(
        metric: str, value: float, label: str = "", interval: Floats | None = None, better: bool | None = True
    ) -> Score:
        low, high = (None, None) if interval is None else percentile_interval(interval)
        return Score(
            metric=metric,
            value=value,
            dataset=family,
            n=int(measured.sum()),
            unit="1",
            higher_is_better=better,
            ci_low=low,
            ci_high=high,
            label=label,
            seed=seed,
        )

    scores = [
        score("unit_auc", float(roc_auc_score(positive[~chooses], strength))),
        score("circular_r2", circular_r2(codes[measured][:, unit], places, period, folds)),
        score("order_alignment", order_alignment(codes[measured][:, unit], places, period, folds)),
        score("p_value", p_value, better=False),
        score("circular_r2", float(null.mean()), "permuted labels", null),
        score("circular_r2", circular_r2(activations[measured], places, period, folds), "whole activation"),
        score("order_alignment", order_alignment(activations[measured], places, period, folds), "whole activation"),
    ]
    units = [codes[measured][:, random_unit()] for _ in range(settings.random_units)]
    for metric, measure in (("circular_r2", circular_r2), ("order_alignment", order_alignment)):
        drawn = np.array([measure(points, places, period, folds) for points in units])
        scores.append(score(metric, float(drawn.mean()), "random units", drawn))
    return scores
