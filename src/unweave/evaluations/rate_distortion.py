"""What is explained for how many bits: a method fitted again at several strengths of what keeps its codes short.

An entropy says nothing without the error that it leaves (Binary Autoencoder; arXiv 2509.20997), so methods are compared
by curves. Each point refits the dictionary's own method to the first corpus with one setting changed, such as the
weight of the entropy penalty or the number of active latents, and measures on the second corpus, which no fit saw, the
bits of the firing pattern (`code_entropy`: sum over channels and Chow-Liu bound) and the variance unexplained (FVU).

Codes of more than one bit carry their values too: `entropy_with_values` adds m - 1 bits for each channel that fires,
with m the bits to which the decoder's codes are rounded (option `bits`), where the dictionary has that.
"""

from typing import Annotated, Any

import torch
from pydantic import Field

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.code_entropy import bits_of
from unweave.evaluations.core.firing import firing
from unweave.evaluations.evaluation import EvaluationData
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score


class Settings(Strict):
    """Settings of rate-distortion curves; it needs a corpus to fit and one to measure."""

    points: Annotated[list[dict[str, int | float]], Field(min_length=2)] = Field(
        default=[
            {"entropy_weight": 1e-5, "gate.k": 64, "active_groups": 16},
            {"entropy_weight": 1e-4, "gate.k": 32, "active_groups": 8},
            {"entropy_weight": 1e-3, "gate.k": 16, "active_groups": 4},
            {"entropy_weight": 1e-2, "gate.k": 8, "active_groups": 2},
        ],
        description="settings of each point, from many bits to few; a method takes those that it has",
    )
    shared: dict[str, int | float] = Field(
        default={"tokens": 150_000}, description="settings that take other values in every point"
    )
    measured: Annotated[int, Field(ge=2)] = Field(default=5000, description="tokens of the second corpus")
    k: Annotated[int, Field(ge=1)] = Field(
        default=32, description="features that fire on a token of a dense dictionary"
    )


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Bits and FVU of every point; x numbers the points, from many bits to few.

    Raises
    ------
    UnweaveError
        unless there are two corpora and the method can be fitted again and has a setting that the points change.
    """
    if len(data.corpora) != 2:
        raise UnweaveError(f"needs two corpora, one to fit and one to measure, got {len(data.corpora)}")
    if data.refit is None or dictionary.traits.writes is not None:
        raise UnweaveError(
            "rate-distortion curves fit a method again, which this one cannot be: leave it out (`methods`)"
        )
    (_, first), (name, second) = data.corpora.items()
    (x,) = second.activations.slices([(0, min(settings.measured, second.activations.n))])
    x = x.to(data.device)
    total = (x - x.mean(dim=0)).square().sum(dtype=torch.float64)
    scores: list[Score] = []
    found: set[float] = set()
    for number, point in enumerate(settings.points):
        fitted = data.refit(first.activations, {**settings.shared, **point})
        codes = fitted.encode(x)
        fires = firing(fitted, codes, settings.k)
        bits = bits_of(fires)
        fvu = float((x - fitted.decode(codes, like=x)).square().sum(dtype=torch.float64) / total)
        found.add(round(fvu, 9))
        values: dict[str, tuple[float, str, bool | None]] = {
            "entropy_sum": (bits.summed, "bits", None),
            "entropy_chow_liu": (bits.chow_liu, "bits", None),
            "fvu": (fvu, "1", False),
            "l0": (float((codes != 0).sum() / len(codes)), "codes", None),
        }
        values |= _with_values(fitted, fires, bits.summed)
        for metric, (value, unit, better) in values.items():
            scores.append(
                Score(
                    metric=metric,
                    value=value,
                    dataset=name,
                    n=len(x),
                    unit=unit,
                    higher_is_better=better,
                    x_name="point",
                    x=number,
                    seed=seed,
                )
            )
    if len(found) == 1:
        names = ", ".join(settings.points[0])
        raise UnweaveError(f"the points change no setting of this method ({names}): name one that it has in `points`")
    return scores


def _with_values(fitted: Dictionary, fires: torch.Tensor, summed: float) -> dict[str, tuple[float, str, Any]]:
    bits = fitted.options.get("bits")
    if bits is None:
        return {}
    return {"entropy_with_values": (summed + float(fires.float().sum(dim=1).mean()) * (bits - 1), "bits", None)}
