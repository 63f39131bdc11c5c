"""Whether days of the week and months lie on a circle within one feature (Subspace-Aware SAE, Section 7, Appendix F).

A unit is a group of codes; in a dictionary without groups, the `columns` codes that tell the family best, so that units
have equally many coordinates. The unit of a family is the one whose strength best tells its terms from other nouns (AUC
over sentences of half of the templates). On the other half its codes are regressed on (cos, sin) of the calendar, whole
templates held out: `circular_r2`, and `order_alignment` |mean exp(i (predicted - true angle))|. The permutation test
moves whole labels on the circle (`p_value`), so that telling days apart does not pass for their order.

Controls: units drawn at random among those that fire (`random units`) and all coordinates of the activation, what could
be reached at most (`whole activation`).
"""

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
from unweave.evaluations.temporal_geometry.prompts import FAMILIES, TEMPLATES, Terms, read_terms
from unweave.methods.dictionary import Dictionary
from unweave.models.hook_points import HookPoint
from unweave.models.language_model import load_language_model
from unweave.results.scores import Score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FOLDS = 3


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
    terms = read_terms(model, HookPoint(cast(Site, data.site), data.layer))
    codes = dictionary.encode(terms.x)
    strengths = dictionary.strengths(codes).double().cpu().numpy()
    values, activations = codes.double().cpu().numpy(), terms.x.double().cpu().numpy()
    scores: list[Score] = []
    for number, (family, names) in enumerate(FAMILIES.items()):
        rng = np.random.default_rng([seed, number])
        scores += _family(family, len(names), terms, values, strengths, activations, dictionary, settings, rng, seed)
    return scores


def _family(
    family: str,
    period: int,
    terms: Terms,
    codes: Floats,
    strengths: Floats,
    activations: Floats,
    dictionary: Dictionary,
    settings: Settings,
    rng: np.random.Generator,
    seed: int,
) -> list[Score]:
    chooses = terms.template < len(TEMPLATES) // 2
    positive = terms.family == family
    firing = strengths[chooses & positive].std(axis=0) > 0
    if not firing.any():
        raise UnweaveError(f"no feature varies over the {family}s: leave temporal geometry out for this dictionary")
    size = dictionary.traits.group_size
    auc = aucs(strengths[chooses], positive[chooses])
    unit = unit_of(auc, strengths[chooses & positive], size, settings.columns)
    measured = ~chooses & positive
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
