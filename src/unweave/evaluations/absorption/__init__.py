"""Feature absorption and splitting in the first-letter task (Chanin et al. 2024, arXiv 2409.14507; SAEBench).

The model is shown words with their first letter and asked for that of another word. A probe of the activation at the
word's token tells the letter; the dictionary's main latents of a letter should fire on every word that starts with it.
Where they stay silent and a latent of the word itself says the letter instead, that latent has absorbed it.

Scored are the test words whose letter the probe tells: the share of them that is absorbed fully, the mean absorption
fraction, and the number of main latents (splitting), each a mean over the letters whose probe has an F1 above 0.6, with
a bootstrap over letters. `spelling_accuracy` says whether the model can do the task at all: without it, nothing here
means anything. Signed codes are split by sign; the contribution of a latent is <its term of the reconstruction, probe>.

Differences from SAEBench: one draw of ten examples serves all words, so that they are read once; probes are fitted to
their optimum; fewer than 20 letters are scored too, and counted in `letters`.
"""

from typing import Annotated, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.metrics import f1_score
from torch import Tensor

from unweave.config import Site, Strict
from unweave.errors import UnweaveError
from unweave.evaluations.absorption.latents import letter_probe, main_latents
from unweave.evaluations.absorption.scoring import absorption
from unweave.evaluations.absorption.words import EXAMPLES, Asked, Words, draw_words
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.resampled_scores import mean_score
from unweave.methods.coefficients import split_signs
from unweave.methods.dictionary import Dictionary
from unweave.models.language_model import load_language_model
from unweave.results.scores import Score

Floats = NDArray[np.float64]

TEST_SHARE = 0.2
LEAST_F1 = 0.6
DATASET = "first letters"
SPELLED = 200
"""Words whose first letter the model is asked for."""


class Settings(Strict):
    """Settings of the absorption evaluation."""

    words_per_letter: Annotated[int, Field(ge=10)] = Field(default=60, description="words of one token, at most")


def read_out(dictionary: Dictionary, x: Tensor) -> tuple[Floats, Floats, Floats]:
    """Codes (n, F), what a unit of each adds to its row (n, 1), and atoms (F, d), with signed codes split by sign."""
    codes, atoms = dictionary.encode(x), dictionary.atoms
    scales = dictionary.row_scales(x)
    if scales is None:
        # Decoding renormalises rows: its own change of scale stands for that of each term.
        whole = dictionary.decode(codes)
        scales = dictionary.decode(codes, like=x).norm(dim=1, keepdim=True) / whole.norm(dim=1, keepdim=True)
    if dictionary.traits.signed:
        codes, atoms = split_signs(codes), torch.cat([atoms, -atoms])
    codes_n, scales_n, atoms_n = (t.double().cpu().numpy() for t in (codes, scales, atoms))
    return codes_n, scales_n, atoms_n


def letter_scores(
    x: Floats, codes: Floats, scales: Floats, atoms: Floats, letters: NDArray[np.int64], train: NDArray[np.bool_]
) -> dict[str, Floats]:
    """By metric, the values of every letter that a probe tells: `absorption_fraction`, `full_absorption`, ...

    `x` (n, d), `codes` (n, F), `scales` (n, 1) and the `letters` (n,) are of all words, `train` (n,) says which the
    probes are trained on.
    """
    found: dict[str, list[float]] = {}
    test = ~train
    lengths = np.linalg.norm(atoms, axis=1)
    for letter in np.unique(letters).tolist():
        y = (letters == letter).astype(np.int64)
        if y[train].sum() < 2 or y[test].sum() < 2:
            continue
        probe = letter_probe(x[train], y[train])
        if f1_score(y[test], probe.predict(x[test]), zero_division=0) <= LEAST_F1:
            continue
        main, f1 = main_latents(codes[train], y[train], codes[test], y[test])
        told = test & (y == 1) & (probe.decision_function(x) > 0)
        direction = probe.coef_[0] / np.linalg.norm(probe.coef_[0])
        along = atoms @ direction
        result = absorption(
            x[told] @ direction,
            scales[told] * codes[told] * along,
            codes[told],
            along / np.where(lengths > 0, lengths, 1.0),
            main,
        )
        values = {
            "absorption_fraction": result.fraction.mean(),
            "full_absorption": result.full.mean(),
            "main_latents": len(main),
            "main_latent_f1": f1[len(main) - 1],
        }
        for metric, value in values.items():
            found.setdefault(metric, []).append(float(value))
    return {metric: np.array(values) for metric, values in found.items()}


UNITS: dict[str, tuple[str, bool | None]] = {
    "absorption_fraction": ("1", False),
    "full_absorption": ("1", False),
    "main_latents": ("latents", None),
    "main_latent_f1": ("1", True),
}


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Absorption and splitting over letters, and whether the model can spell.

    Raises
    ------
    UnweaveError
        if the dictionary rebuilds another site than it reads, or no letter can be told from the activations.
    """
    if dictionary.traits.writes is not None:
        raise UnweaveError("absorption compares a probe with atoms of the same site: leave transcoders out (`methods`)")
    model = load_language_model(data.model_folder, torch.float32, data.device)
    rng = np.random.default_rng(seed)
    words = draw_words(model.tokenizer, settings.words_per_letter, rng)
    examples, words = words.chosen(np.arange(EXAMPLES)), words.chosen(np.arange(EXAMPLES, len(words.texts)))
    asked = Asked(model, examples, data.device)
    spelled = asked.right(words.chosen(np.arange(min(SPELLED, len(words.texts)))))
    x = asked.activations(words, cast(Site, data.site), data.layer)
    train = _train_mask(words, rng)
    found = letter_scores(x.double().cpu().numpy(), *read_out(dictionary, x), words.letters, train)
    if not found:
        raise UnweaveError(f"no first letter can be told at layer {data.layer}: leave absorption out for this model")
    scores = [mean_score("spelling_accuracy", spelled, seed=seed, dataset=DATASET)]
    for metric, values in found.items():
        unit, better = UNITS[metric]
        scores.append(mean_score(metric, values, seed=seed, unit=unit, better=better, dataset=DATASET))
    letters = len(found["main_latents"])
    letters_score = Score(
        metric="letters", value=letters, dataset=DATASET, n=26, unit="letters", higher_is_better=None, seed=seed
    )
    return [*scores, letters_score]


def _train_mask(words: Words, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Four in five words of every letter."""
    train = np.ones(len(words.texts), dtype=bool)
    for letter in np.unique(words.letters).tolist():
        members = rng.permutation(np.flatnonzero(words.letters == letter))
        train[members[: round(TEST_SHARE * len(members))]] = False
    return train
