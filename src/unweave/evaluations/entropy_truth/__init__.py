"""Whether a method finds the entropy of rows whose entropy is known (Binary Autoencoder, Section 4.1; 2509.20997).

The dictionary's own method is fitted to planted rows with its own settings, except for its size and length, and the
entropy of its firing pattern on new rows is estimated as in `code_entropy`. Reported against the true bits: each
estimate, its ratio to the truth, and the FVU without which a right number means nothing.

Competing estimates, of the same rows and without any fit: signs of as many random projections as there are directions
(`random signs`), signs of the principal components (`PCA signs`), and the planted codes themselves (`planted codes`),
which show what the estimators alone lose. Signs of fair, independent directions have the right entropy whatever they
say: a benchmark of these alone cannot tell a method from no method.
"""

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from unweave.config import Strict
from unweave.evaluations.code_entropy import Bits, bits_of
from unweave.evaluations.entropy_truth.worlds import Kind, draw, true_bits
from unweave.evaluations.evaluation import EvaluationData, Refit
from unweave.evaluations.refitted_entropy import pca_signs, refit_of, refitted
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

Floats = NDArray[np.float64]
Estimates = dict[str, float]

KINDS: tuple[Kind, ...] = ("independent", "sparse", "correlated", "overcomplete")
HELD_OUT = 0.2


class Settings(Strict):
    """Settings of the benchmark with known entropy."""

    directions: list[Annotated[int, Field(ge=2)]] = Field(default=[8, 32], description="r: directions of a world")
    kinds: list[Kind] = Field(default=list(KINDS), description="worlds")
    d: Annotated[int, Field(ge=2)] = Field(default=64, description="dimensions of a row")
    rows: Annotated[int, Field(ge=100)] = Field(default=8192, description="drawn, of which a fifth is held out")
    worlds: Annotated[int, Field(ge=2)] = Field(default=2, description="draws of each world, over which intervals go")
    replaced: dict[str, int | float | None] = Field(
        default={"tokens": 800_000, "epochs": 100, "n_features": 256},
        description="settings of a method that take other values here, where it has them",
    )


def random_signs(x: Tensor, components: int, rng: np.random.Generator) -> Tensor:
    """Signs (n, components) of random projections of rows x (n, d)."""
    projections = torch.from_numpy(rng.standard_normal((x.shape[1], components))).to(x.dtype)
    return (x - x.mean(dim=0)) @ projections > 0


def estimates(bits: Bits) -> Estimates:
    """Name the estimates."""
    return {"entropy_sum": bits.summed, "entropy_chow_liu": bits.chow_liu, "entropy_joint": bits.joint}


def one_world(
    refit: Refit, device: torch.device, settings: Settings, kind: Kind, r: int, rng: np.random.Generator
) -> dict[str, Estimates]:
    """Estimates by arm for one draw of a world, the method's own (label "") with its FVU."""
    rows, codes = draw(kind, r, settings.rows, settings.d, rng)
    kept = round((1 - HELD_OUT) * settings.rows)
    x = torch.from_numpy(rows).float()
    found = refitted(refit, x[:kept], x[kept:], settings.replaced, r, device)
    components = min(r, settings.d)
    return {
        "": {**estimates(found.bits), "fvu": found.fvu},
        "random signs": estimates(bits_of(random_signs(x[kept:], components, rng))),
        "PCA signs": estimates(bits_of(pca_signs(x[kept:], components))),
        "planted codes": estimates(bits_of(torch.from_numpy(codes[kept:]))),
    }


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Every estimate and its ratio to the truth against the true bits, by kind of world.

    Raises
    ------
    UnweaveError
        if it is not known how the dictionary was fitted, or its method cannot be fitted to planted rows.
    """
    refit = refit_of(dictionary, data)
    scores = []
    for kind in settings.kinds:
        for r in settings.directions:
            truth = true_bits(kind, r)
            streams = [[seed, KINDS.index(kind), r, world] for world in range(settings.worlds)]
            draws = [
                one_world(refit, data.device, settings, kind, r, np.random.default_rng(stream)) for stream in streams
            ]
            for arm, first in draws[0].items():
                for metric in first:
                    values = np.array([world[arm][metric] for world in draws])
                    scores.append(_score(metric, kind, truth, arm, values, "1" if metric == "fvu" else "bits", seed))
                    if metric != "fvu":
                        scores.append(_score(f"{metric}_ratio", kind, truth, arm, values / truth, "1", seed))
    return scores


def _score(metric: str, kind: Kind, truth: float, arm: str, values: Floats, unit: str, seed: int) -> Score:
    """Mean over the draws of a world, with their range."""
    return Score(
        metric=metric,
        value=float(values.mean()),
        dataset=f"planted, {kind}",
        n=len(values),
        unit=unit,
        higher_is_better=False if metric == "fvu" else None,
        ci_low=float(values.min()),
        ci_high=float(values.max()),
        x_name="true bits",
        x=truth,
        label=arm,
        seed=seed,
    )
