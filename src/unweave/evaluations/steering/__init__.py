"""Steering with features, at strengths that change the next token equally (Semi-NMF, Section 4.2; arXiv 2506.10920).

A feature's direction is added to the residual stream at every position. For either sign and each target its strength is
calibrated so that KL(unsteered || steered) of the token after the prompt "I think that" is the target; then the model
continues the prompt. Continuations are rated without a judge (see `proxies`): fluency, concept (tokens that the
direction raises most, against unsteered text), and their harmonic mean `steering`.

The paper takes the best of all cells of strength and sign, which chance raises, and more so for noisy methods: `best
cell` is that, `split half` chooses the cell on half of the samples and rates it on the others. The control does all
of this with random directions. A concept that is read off the direction itself is close to measuring what was added,
so only differences to the control count. `calibrated` is the share of cells that met their target.

Validity of the proxies, on the same text: `fluency_validity` is the AUC of the fluency of unsteered continuations
against the same with their tokens shuffled, `concept_validity` that of the hit rate of unsteered ones with two raised
tokens put in against without.

The paper calibrates the positive sign alone and drops targets that it misses by more than 0.01; its judge is a language
model. One can be asked here too (`judge`, off by default): its ratings stand beside the proxies as `judged_...`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.metrics import roc_auc_score
from torch import Tensor

from unweave.config import Strict
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.judge import Judge, JudgeSettings, concept_rating, fluency_rating
from unweave.evaluations.resampled_scores import mean_score
from unweave.evaluations.steering.calibration import Calibrated, calibrate, divergence_from
from unweave.evaluations.steering.directions import drawn_features, in_residual_stream, raised_tokens, random_like
from unweave.evaluations.steering.generation import continuations, mean_losses
from unweave.evaluations.steering.prompt import read_prompt
from unweave.evaluations.steering.proxies import Anchors, concept, fluency, harmonic, hit_rates, repetition
from unweave.methods.dictionary import Dictionary
from unweave.models.language_model import load_language_model
from unweave.results.scores import Score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SIGNS = (1, -1)
UNSTEERED = 32
"""Unsteered continuations, against which the others are rated."""


class Settings(Strict):
    """Settings of steering; it makes its own text."""

    features: Annotated[int, Field(ge=2)] = Field(
        default=6, description="features that are drawn (all where there are fewer), and as many random directions"
    )
    targets: list[Annotated[float, Field(gt=0)]] = Field(default=[0.1, 0.25, 0.5], description="divergences in nats")
    samples: Annotated[int, Field(ge=2)] = Field(
        default=4, description="continuations of each feature, sign and target"
    )
    tokens: Annotated[int, Field(ge=5)] = Field(default=20, description="of a continuation")
    prompt: str = Field(default="I think that", description="text that is continued")
    judge: JudgeSettings | None = Field(default=None, description="language model that rates too; null for none")


@dataclass(frozen=True)
class Rated:
    """Ratings (features, cells, samples) of one set of directions; cells are signs times targets."""

    fluency: Floats
    concept: Floats
    calibrated: Calibrated
    targets: Tensor
    judged: Mapping[str, Floats]
    """The judge's fluency and concept, where one is asked."""

    @property
    def steering(self) -> Floats:
        """Harmonic mean of both."""
        return harmonic(self.fluency, self.concept)


def best_cell(ratings: Floats) -> Floats:
    """Mean rating (F,) of each feature's best cell, of ratings (F, cells, samples)."""
    best: Floats = ratings.mean(axis=2).max(axis=1)
    return best


def split_half(ratings: Floats) -> Floats:
    """Mean rating (F,) on every other sample of the cell that is best on the rest."""
    chosen = ratings[:, :, ::2].mean(axis=2).argmax(axis=1)
    rated: Floats = ratings[np.arange(len(ratings)), chosen][:, 1::2].mean(axis=1)
    return rated


class Steered:
    """A model with a prompt, whose continuations are rated."""

    def __init__(self, data: EvaluationData, settings: Settings, seed: int) -> None:
        language_model = load_language_model(data.model_folder, torch.float32, data.device)
        self.model, self._settings, self._layer = language_model.model, settings, data.layer
        self._tokenizer = language_model.tokenizer
        self._judge = Judge(settings.judge) if settings.judge else None
        self._prompt = read_prompt(language_model, settings.prompt, data.layer, data.device)
        self._generator = torch.Generator().manual_seed(seed)
        d = self._prompt.stream.shape[1]
        self.unsteered = self._continue(torch.zeros(UNSTEERED, d, device=data.device))
        rng = np.random.default_rng(seed)
        self.shuffled = rng.permuted(self.unsteered, axis=1)
        self.losses, broken = self._losses(self.unsteered), self._losses(self.shuffled)
        self.broken_losses = broken
        repeated = float(repetition(self.unsteered).mean())
        self.anchors = Anchors(float(np.median(self.losses)), float(np.median(broken)), repeated)

    def _continue(self, added: Tensor) -> Integers:
        tokens = self._settings.tokens
        found = continuations(self.model, self._layer, self._prompt.ids, added, tokens, self._generator)
        drawn: Integers = found.cpu().numpy()
        return drawn

    def _losses(self, tokens: Integers) -> Floats:
        device = self._prompt.ids.device
        losses: Floats = (
            mean_losses(self.model, self._prompt.ids, torch.from_numpy(tokens).to(device)).double().cpu().numpy()
        )
        return losses

    def rate(self, directions: Tensor) -> Rated:
        """Calibrate, continue and rate unit directions (F, d)."""
        settings = self._settings
        cells = [(sign, target) for sign in SIGNS for target in settings.targets]
        signed = torch.stack([sign * v for v in directions for sign, _ in cells])
        targets = torch.tensor([target for _ in directions for _, target in cells], device=directions.device)
        divergence = divergence_from(self.model, self._layer, self._prompt.stream)
        calibrated = calibrate(divergence, signed, targets, self._prompt.unit)
        added = (calibrated.strengths[:, None] * signed).repeat_interleave(settings.samples, dim=0)
        tokens = self._continue(added)
        fluent = fluency(self._losses(tokens), repetition(tokens), self.anchors)
        vocabularies = raised_tokens(self.model, signed).cpu().numpy()
        about = np.concatenate(
            [
                concept(rows, vocabulary, self.unsteered)
                for rows, vocabulary in zip(np.split(tokens, len(vocabularies)), vocabularies, strict=True)
            ]
        )
        shape = (len(directions), len(cells), settings.samples)
        judged = {name: ratings.reshape(shape) for name, ratings in self._judged(tokens, vocabularies).items()}
        return Rated(fluent.reshape(shape), about.reshape(shape), calibrated, targets, judged)

    def _judged(self, tokens: Integers, vocabularies: Integers) -> dict[str, Floats]:
        """Ask the judge, if there is one, about continuations (B, T), each of the next of `vocabularies` in turn."""
        if self._judge is None:
            return {}
        each = len(tokens) // len(vocabularies)
        texts = [str(self._tokenizer.decode(row.tolist())) for row in tokens]
        words = [[str(self._tokenizer.decode([token])).strip() for token in row] for row in vocabularies.tolist()]
        ask = self._judge.ask
        return {
            "fluency": np.array([fluency_rating(ask, text) for text in texts]),
            "concept": np.array([concept_rating(ask, text, words[i // each]) for i, text in enumerate(texts)]),
        }

    def validity(self, directions: Tensor, rng: np.random.Generator) -> dict[str, float]:
        """AUC of either proxy between text that has what it asks for and text that has not."""
        whole = fluency(self.losses, repetition(self.unsteered), self.anchors)
        broken = fluency(self.broken_losses, repetition(self.shuffled), self.anchors)
        with_hits, without = [], []
        for vocabulary in raised_tokens(self.model, directions).cpu().numpy():
            changed = self.unsteered.copy()
            for row in changed:
                row[rng.permutation(changed.shape[1])[:2]] = rng.choice(vocabulary, size=2, replace=False)
            with_hits.append(hit_rates(changed, vocabulary))
            without.append(hit_rates(self.unsteered, vocabulary))
        found = {
            "fluency_validity": (whole, broken),
            "concept_validity": (np.concatenate(with_hits), np.concatenate(without)),
        }
        return {
            name: float(roc_auc_score(np.repeat([1, 0], [len(one), len(other)]), np.concatenate([one, other])))
            for name, (one, other) in found.items()
        }


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Ratings over features, best cell and split half, with the control, and the validity of the proxies.

    Raises
    ------
    UnweaveError
        if the dictionary writes nothing to the residual stream, or fewer than two of its atoms are not zero.
    """
    rng = np.random.default_rng(seed)
    drawn = drawn_features(dictionary, settings.features, rng)
    steered = Steered(data, settings, seed)
    site = dictionary.traits.writes or data.site
    directions = in_residual_stream(steered.model, site, data.layer, dictionary.atoms[drawn].float())
    scores: list[Score] = []
    for label, chosen in (("", directions), ("random directions", random_like(directions, rng))):
        scores += _scores(label, steered.rate(chosen), settings, seed)
    for metric, value in steered.validity(directions, rng).items():
        scores.append(
            Score(metric=metric, value=value, dataset="", n=UNSTEERED, unit="1", higher_is_better=True, seed=seed)
        )
    return scores


def _scores(label: str, rated: Rated, settings: Settings, seed: int) -> list[Score]:
    score = partial(mean_score, seed=seed, label=label)
    rating = partial(score, unit="0 to 2", better=True)
    ratings: Mapping[str, Floats] = {"fluency": rated.fluency, "concept": rated.concept, "steering": rated.steering}
    if rated.judged:
        judged = {**rated.judged, "steering": harmonic(rated.judged["fluency"], rated.judged["concept"])}
        ratings = {**ratings, **{f"judged_{metric}": values for metric, values in judged.items()}}
    scores = [rating(f"{metric}_best_cell", best_cell(values)) for metric, values in ratings.items()]
    scores += [rating(f"{metric}_split_half", split_half(values)) for metric, values in ratings.items()]
    for index, target in enumerate(settings.targets):
        cells = [index + sign * len(settings.targets) for sign in range(len(SIGNS))]
        for metric, values in ratings.items():
            scores.append(rating(metric, values[:, cells].mean(axis=(1, 2)), x_name="kl", x=target))
    met = rated.calibrated.met(rated.targets).double().cpu().numpy()
    scores.append(score("calibrated", met.reshape(len(rated.fluency), -1).mean(axis=1)))
    strengths = rated.calibrated.strengths.double().cpu().numpy().reshape(len(rated.fluency), -1)
    scores.append(score("strength", strengths.mean(axis=1), unit="activation"))
    return scores
