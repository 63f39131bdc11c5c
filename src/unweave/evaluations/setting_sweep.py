"""What a setting of a method changes: the method fitted again at several values, and each fit evaluated alike.

The papers' ablations are of this kind: iterations of ICA (ICA Lens, Figure 5), rank, sparsity and initialisation of
semi-NMF (appendix), rank by nuclear weight of SASA. Each point fits the dictionary's own method to the first corpus
with some settings replaced; a point without any is the dictionary itself. Then other evaluations of this package
measure the fit, on the second corpus or on both, and the rows that `keep` names go into the table: with the value of
the point as `x`, and its label before theirs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from unweave.config import Strict, validated
from unweave.errors import UnweaveError
from unweave.evaluations.core.tally import WITHOUT_FIRST
from unweave.evaluations.evaluation import Evaluation, EvaluationData, Refit, evaluation_module
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score


class Kept(Strict):
    """Which row of a score table goes into the curve."""

    metric: str = Field(description="of the evaluation")
    label: str = Field(default="", description="of the row: an arm or a control")
    x_name: str = Field(default="", description="its free variable, if the metric is a curve itself")
    x: float | None = Field(default=None, description="the point of that curve")
    named: str | None = Field(default=None, description="its label in the table of the sweep, if another one")

    def holds(self, score: Score) -> bool:
        """Whether a row is the one."""
        return (score.metric, score.label, score.x_name, score.x) == (self.metric, self.label, self.x_name, self.x)


class Measure(Strict):
    """An evaluation of every fit."""

    evaluation: str = Field(description="a module of src/unweave/evaluations")
    settings: dict[str, Any] = Field(default={}, description="of that evaluation")
    corpora: Literal["measured", "both"] = Field(default="measured", description="the second one, or both in order")
    keep: Annotated[list[Kept], Field(min_length=1)] = Field(description="rows of its scores")


class Point(Strict):
    """One fit."""

    x: float = Field(description="value of the free variable")
    label: str = Field(default="", description="of the curve that the point belongs to, or a name for the value")
    settings: dict[str, Any] = Field(description="of the method that are replaced; none for the dictionary itself")


class Settings(Strict):
    """Settings of a sweep; it needs a corpus to fit and one to measure."""

    axis: str = Field(default="iterations", description="what varies from point to point")
    points: Annotated[list[Point], Field(min_length=2)] = Field(
        default=[Point(x=n, settings={"iterations": n}) for n in (1, 10, 100)], description="fits"
    )
    shared: dict[str, Any] = Field(default={}, description="of the method that are replaced in every fit")
    measures: Annotated[list[Measure], Field(min_length=1)] = Field(
        default=[
            Measure(
                evaluation="core",
                settings={"patched_tokens": 0},
                keep=[Kept(metric="fve", label=WITHOUT_FIRST, named="")],
            )
        ],
        description="how the fits are evaluated",
    )


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Kept rows of every point.

    Raises
    ------
    UnweaveError
        unless there are two corpora and the method can be fitted again and has a setting that the points change; or if
        a measure is unknown, its settings are wrong or it has no row that is to be kept. Nothing is fitted before the
        first two are known.
    """
    if len(data.corpora) != 2:
        raise UnweaveError(f"needs two corpora, one to fit and one to measure, got {len(data.corpora)}")
    if data.refit is None:
        raise UnweaveError("a sweep fits a method again, which this one cannot be: leave it out (`methods`)")
    measures = [_checked(measure) for measure in settings.measures]
    first, second = data.corpora
    corpora = {"both": data.corpora, "measured": {second: data.corpora[second]}}
    fits = _fits(dictionary, data.refit, data.corpora[first].activations, settings)
    scores: list[Score] = []
    for point, fitted in zip(settings.points, fits, strict=True):
        for measure, module, checked in measures:
            rows = module.evaluate(fitted, replace(data, corpora=corpora[measure.corpora]), checked, seed)
            scores += [_placed(row, point, settings.axis) for row in _kept(rows, measure)]
    if len({(score.metric, score.label, score.value) for score in scores}) == len(scores) / len(settings.points):
        raise UnweaveError(f"the points change no setting of this method ({_names(settings.points)}): name one it has")
    return scores


def _checked(measure: Measure) -> tuple[Measure, Evaluation, Strict]:
    module = evaluation_module(measure.evaluation)
    return measure, module, validated(module.Settings, measure.settings, f"settings of {measure.evaluation}")


def _fits(dictionary: Dictionary, refit: Refit, activations: Any, settings: Settings) -> Iterator[Dictionary]:
    for point in settings.points:
        yield refit(activations, {**settings.shared, **point.settings}) if point.settings else dictionary


def _kept(rows: Sequence[Score], measure: Measure) -> Iterator[Score]:
    for wanted in measure.keep:
        found = [row for row in rows if wanted.holds(row)]
        if not found:
            have = sorted({row.metric for row in rows})
            raise UnweaveError(f"{measure.evaluation} has no row {wanted.model_dump()}: its metrics are {have}")
        yield from (row if wanted.named is None else replace(row, label=wanted.named) for row in found)


def _placed(score: Score, point: Point, axis: str) -> Score:
    label = ", ".join(filter(None, [point.label, score.label]))
    return replace(score, x_name=axis, x=point.x, label=label)


def _names(points: Sequence[Point]) -> str:
    return ", ".join(sorted({name for point in points for name in point.settings}))
