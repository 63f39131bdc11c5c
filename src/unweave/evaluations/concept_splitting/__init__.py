"""Into how many features a dictionary splits concepts such as days of the week (Subspace-Aware SAE, splitting).

A unit is a group of codes, or a code where there are no groups. A concept is a list of words (see `lexicon`); it is
present at the tokens that are one of them. Concepts with fewer than 20 tokens or 3 words in the text are left out.

- `feature_units`: units of recall 0.5 and precision 0.2 or more (the rule of the paper's code). 0 says that no unit
  stands for the concept as a whole.
- `specific_units`: units half of whose firings or more are on the concept, five at least: into how many parts it is
  split, whatever part each tells. `specific_columns`: their codes.
- `best_f1` of a single unit.
- `value_accuracy`: balanced accuracy of a probe that tells the words of a concept apart by the codes of the units of
  largest F1, `x` columns in all: what is left of the structure within a concept, at an equal budget.

Means over concepts, whose resampling gives the intervals; counts also by concept, under its name. Controls:
`random words` are as many words as frequent, that mean nothing together; `random units` are drawn among those that
fire on the concept; `whole activation` bounds the accuracy and `chance` is 1 / words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from transformers import PreTrainedTokenizerBase

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.concept_splitting.detection import f1_of, splitting
from unweave.evaluations.concept_splitting.lexicon import CONCEPTS, Occurrences, find_words, random_words
from unweave.evaluations.concept_splitting.values import balanced_accuracy, columns_of
from unweave.evaluations.core.firing import firing
from unweave.evaluations.evaluation import Corpus, EvaluationData
from unweave.evaluations.intervals import Floats
from unweave.evaluations.resampled_scores import mean_score
from unweave.methods.dictionary import Dictionary
from unweave.models.language_model import load_tokenizer
from unweave.models.token_strings import token_strings
from unweave.results.scores import Score

Integers = NDArray[np.int64]

WORDS, UNITS, WHOLE, CHANCE = "random words", "random units", "whole activation", "chance"
UNIT_OF = {"feature_units": "units", "specific_units": "units", "specific_columns": "codes", "best_f1": "1"}


class Settings(Strict):
    """Settings of concept splitting."""

    dense_k: Annotated[int, Field(ge=1)] = Field(
        default=32, description="features that fire on a token of a dictionary whose codes are never zero"
    )
    columns: list[Annotated[int, Field(ge=1)]] = Field(
        default=[4, 12, 48], description="codes that tell the words of a concept apart"
    )
    control_draws: Annotated[int, Field(ge=1)] = Field(default=5, description="of random words and of random units")


@dataclass(frozen=True)
class _Seen:
    """What units do on the tokens of C sets of rows, the concepts first."""

    hits: Floats
    """(C, U) tokens of the set on which the unit fires"""
    fired: Floats
    """(U,) tokens"""
    present: Floats
    """(C,) tokens"""
    codes: list[Floats]
    """(t, F) on the tokens of each concept, those of the controls left out"""
    activations: list[Floats]
    """(t, d)"""


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Score the splitting of the concepts that each corpus holds.

    Raises
    ------
    UnweaveError
        if a corpus holds fewer than two concepts.
    """
    tokenizer = load_tokenizer(data.model_folder)
    return [
        score
        for name, corpus in data.corpora.items()
        for score in _corpus_scores(name, corpus, tokenizer, dictionary, data, settings, seed)
    ]


def _corpus_scores(
    name: str,
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    dictionary: Dictionary,
    data: EvaluationData,
    settings: Settings,
    seed: int,
) -> list[Score]:
    rng = np.random.default_rng(seed)
    strings = token_strings(corpus.tokens.ids, tokenizer)
    concepts = {key: found for key, words in CONCEPTS.items() if (found := find_words(strings, words)) is not None}
    if len(concepts) < 2:
        raise UnweaveError(f"{name}: holds the words of {len(concepts)} concepts, two are needed: use more text")
    controls = [random_words(strings, found, rng) for _ in range(settings.control_draws) for found in concepts.values()]
    seen = _read(dictionary, corpus, [found.rows for found in concepts.values()], controls, data, settings.dense_k)
    return [
        *_counts(name, list(concepts), seen, dictionary.traits.group_size, seed),
        *_accuracies(name, concepts, seen, dictionary.traits.group_size, settings, rng, seed),
    ]


def _read(
    dictionary: Dictionary,
    corpus: Corpus,
    concepts: list[Integers],
    controls: list[Integers],
    data: EvaluationData,
    dense_k: int,
) -> _Seen:
    units = dictionary.n_features // dictionary.traits.group_size
    sets = [*concepts, *controls]
    member = np.zeros((len(sets), corpus.activations.n), dtype=np.float32)
    for number, rows in enumerate(sets):
        member[number, rows] = 1
    hits, fired = np.zeros((len(sets), units)), np.zeros(units)
    codes: list[list[Floats]] = [[] for _ in concepts]
    activations: list[list[Floats]] = [[] for _ in concepts]
    start = 0
    for block in corpus.activations.blocks():
        values = dictionary.encode(block.to(data.device))
        fires = firing(dictionary, values, dense_k)
        fired += fires.sum(dim=0).cpu().numpy()
        part = torch.from_numpy(member[:, start : start + len(block)]).to(data.device)
        hits += (part @ fires.float()).double().cpu().numpy()
        for number in range(len(concepts)):
            places = part[number].nonzero()[:, 0]
            codes[number].append(values[places].double().cpu().numpy())
            activations[number].append(block[places.cpu()].double().numpy())
        start += len(block)
    present = np.array([len(rows) for rows in sets], dtype=np.float64)
    return _Seen(hits, fired, present, [np.concatenate(c) for c in codes], [np.concatenate(a) for a in activations])


def _counts(name: str, concepts: list[str], seen: _Seen, group_size: int, seed: int) -> list[Score]:
    found = splitting(seen.hits, seen.fired, seen.present)
    found["specific_columns"] = found["specific_units"] * group_size
    scores: list[Score] = []
    for metric, unit in UNIT_OF.items():
        values = found[metric][: len(concepts)]
        control = found[metric][len(concepts) :].reshape(-1, len(concepts)).mean(axis=0)
        better = True if metric == "best_f1" else None
        scores += [
            mean_score(metric, arm, seed=seed, unit=unit, better=better, dataset=name, label=label)
            for label, arm in (("", values), (WORDS, control))
        ]
        tokens = seen.present[: len(concepts)].astype(int).tolist()
        scores += [
            Score(
                metric=metric,
                value=float(value),
                dataset=name,
                n=n,
                unit=unit,
                higher_is_better=better,
                label=concept,
                seed=seed,
            )
            for concept, value, n in zip(concepts, values, tokens, strict=True)
        ]
    return scores


def _accuracies(
    name: str,
    concepts: Mapping[str, Occurrences],
    seen: _Seen,
    group_size: int,
    settings: Settings,
    rng: np.random.Generator,
    seed: int,
) -> list[Score]:
    f1 = f1_of(seen.hits, seen.fired, seen.present)
    values = [found.values for found in concepts.values()]
    accuracy = partial(mean_score, "value_accuracy", seed=seed, better=True, dataset=name)
    scores: list[Score] = []
    for budget in settings.columns:
        ours, random = [], []
        for number, words in enumerate(values):
            best = np.argsort(-f1[number], kind="stable")
            firing_units = np.flatnonzero(seen.hits[number] > 0)
            ours.append(balanced_accuracy(seen.codes[number][:, columns_of(best, group_size, budget)], words, seed))
            draws = [
                columns_of(rng.permutation(firing_units), group_size, budget) for _ in range(settings.control_draws)
            ]
            random.append(np.mean([balanced_accuracy(seen.codes[number][:, c], words, seed) for c in draws]))
        for label, arm in (("", ours), (UNITS, random)):
            scores.append(accuracy(np.array(arm), label=label, x_name="columns", x=budget))
    whole = [balanced_accuracy(x, words, seed) for x, words in zip(seen.activations, values, strict=True)]
    chance = [1 / len(np.unique(words)) for words in values]
    for label, arm in ((WHOLE, whole), (CHANCE, chance)):
        scores.append(accuracy(np.array(arm), label=label))
    return scores
