"""Spurious correlation removal: whether ablating the features of one attribute frees a biased probe of it (SAEBench).

Texts have two attributes: which of two corpora they are from, and which of two labels they have there. Three probes
read mean-pooled activations: P tells the corpora apart, G the labels, and S texts of the first corpus with the first
label from those of the second with the second, where the attributes always go together. On texts where they do not,

    dir1: ablate the N features of largest effect on G, and score S as a probe of the corpora;
    dir2: ablate those of P, and score S as a probe of the labels;
    score = (accuracy after - accuracy before) / (accuracy of the probe trained for it - accuracy before),

or 0 where there is nothing to gain (less than 0.001). `scr` is the direction in which S was worse before. The effect of
a feature is |difference of mean codes between the classes of a probe x <w, atom>|; ablation is that of `tpp`. The
control ablates N random features among those that fire.

`saebench_compat` trains probes, selects features and treats padding as SAEBench 0.6.0 does (see `tpp`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import Corpus, EvaluationData
from unweave.evaluations.intervals import resampling_weights
from unweave.evaluations.linear_probes import Probes, train_probe, train_probe_saebench
from unweave.evaluations.pooling import LabelledTexts
from unweave.evaluations.probe_ablation import (
    AblatableTexts,
    AblationSettings,
    ByDecoding,
    mean_difference,
    random_ablations,
    read_texts,
)
from unweave.evaluations.resampled_scores import drawn_score
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BOTH, FIRST_ONLY, SECOND_ONLY, NEITHER = range(4)
"""Quadrants: whether a text is of the first corpus, and whether it has the first label."""
LABELS, CORPORA, BIASED = "labels", "corpora", "biased"
PROBES = (LABELS, CORPORA, BIASED)
NOTHING_TO_GAIN = 1e-3
RANDOM = "random features"

Task = tuple[Integers, Integers]
"""Indices of texts, and their targets 1 and 0."""
Results = dict[tuple[str, str, int], Floats]
"""(metric, label, N) to values (draws,), of which the first is of the texts as they are."""


class Settings(AblationSettings):
    """Settings of spurious correlation removal; it needs two corpora."""

    labels: Annotated[list[str], Field(min_length=2, max_length=2)] = Field(
        default=["positive", "negative"], description="two classes that both corpora have"
    )


# --- pure ------------------------------------------------------------------------------------------------------------


def tasks(quadrants: Integers, rng: np.random.Generator) -> dict[str, Task]:
    """Draw the texts of every probe from the `quadrants` (m,) of texts, as many from each as the rarest allows.

    Raises
    ------
    UnweaveError
        if a quadrant has too few.
    """
    members = [rng.permutation(np.flatnonzero(quadrants == quadrant)) for quadrant in range(4)]
    q = min(len(members[FIRST_ONLY]), len(members[SECOND_ONLY]), len(members[BOTH]) // 2, len(members[NEITHER]) // 2)
    if q < 2:
        found = ", ".join(str(len(m)) for m in members)
        raise UnweaveError(f"too few texts of some combination of corpus and label ({found}): use more texts")

    def task(positive: Sequence[int], negative: Sequence[int], each: int) -> Task:
        chosen = [np.concatenate([members[quadrant][:each] for quadrant in side]) for side in (positive, negative)]
        return np.concatenate(chosen), np.repeat([1, 0], [len(side) for side in chosen])

    return {
        LABELS: task((BOTH, SECOND_ONLY), (FIRST_ONLY, NEITHER), q),
        CORPORA: task((BOTH, FIRST_ONLY), (SECOND_ONLY, NEITHER), q),
        BIASED: task((BOTH,), (NEITHER,), 2 * q),
    }


def removal(before: Floats, after: Floats, oracle: Floats) -> Floats:
    """Share (draws,) of the accuracy that the biased probe lacks which it has gained."""
    lacking = oracle - before
    gain: Floats = np.where(lacking < NOTHING_TO_GAIN, 0.0, (after - before) / np.where(lacking == 0, 1.0, lacking))
    return gain


def effects(
    texts: AblatableTexts, gains: Floats, of_probes: Mapping[str, Task], *, by_group: bool
) -> dict[str, Floats]:
    """|Effect| (units,) of every column, or of every group of columns, on each probe; `gains` (columns, probes)."""
    found = {}
    for index, name in enumerate(PROBES):
        contribution = mean_difference(texts.train.features, *of_probes[name]) * gains[:, index]
        found[name] = np.abs(contribution[texts.groups].sum(axis=1) if by_group else contribution)
    return found


class Accuracies:
    """Accuracy of the probes on the tasks of the test texts, as they are and resampled."""

    def __init__(self, of_test: Mapping[str, Task], resamples: Floats) -> None:
        self._tasks = of_test
        self._weights = np.vstack([np.ones(resamples.shape[1]), resamples])

    def of(self, logits: Floats, probe: str, task: str) -> Floats:
        """(draws,) of `probe`, whose column of `logits` (m, probes) is read, on the texts of `task`."""
        chosen, y = self._tasks[task]
        weights = self._weights[:, chosen]
        right = (logits[chosen, PROBES.index(probe)] > 0) == y
        accuracy: Floats = (weights @ right) / weights.sum(axis=1)
        return accuracy


DIRECTIONS = {"scr_dir1": (LABELS, CORPORA), "scr_dir2": (CORPORA, LABELS)}
"""Probe whose features are ablated, and task that the biased probe is scored on."""
ABLATED = [probe for probe, _ in DIRECTIONS.values()]


def scr(
    texts: AblatableTexts, probes: Probes, accuracies: Accuracies, ablations: Mapping[int, Sequence[Integers]]
) -> Iterator[tuple[int, dict[str, Floats]]]:
    """N and its metrics, for `ablations` by N: the columns that are ablated for each of ABLATED."""
    clean = probes.logits(texts.test.activations)
    before = {task: accuracies.of(clean, BIASED, task) for _, task in DIRECTIONS.values()}
    oracle = {task: accuracies.of(clean, task, task) for _, task in DIRECTIONS.values()}
    for n, of_probes in ablations.items():
        logits = dict(zip(ABLATED, texts.ablated(clean, probes, of_probes), strict=True))
        found = {
            metric: removal(before[task], accuracies.of(logits[ablated], BIASED, task), oracle[task])
            for metric, (ablated, task) in DIRECTIONS.items()
        }
        worse = before[CORPORA][0] - before[LABELS][0]
        if worse:
            found["scr"] = found["scr_dir1"] if worse < 0 else found["scr_dir2"]
        yield n, found


# --- two corpora -----------------------------------------------------------------------------------------------------


def read_quadrants(dictionary: Dictionary, data: EvaluationData, settings: Settings) -> AblatableTexts:
    """Texts of both corpora, whose labels are their quadrants.

    Raises
    ------
    UnweaveError
        unless there are two corpora and both have both labels.
    """
    if len(data.corpora) != 2:
        raise UnweaveError(f"needs two corpora, got {len(data.corpora)} ({', '.join(data.corpora)})")
    parts = []
    for place, (name, corpus) in enumerate(data.corpora.items()):
        of_label = _label_numbers(name, corpus, settings.labels)
        texts = read_texts(name, corpus, dictionary, data.device, settings.saebench_context)
        parts.append(_with_quadrants(texts, place, of_label))
    first, second = parts
    by_decoding = first.by_decoding and second.by_decoding and _both(first.by_decoding, second.by_decoding)
    return replace(
        first,
        train=_joined(first.train, second.train),
        test=_joined(first.test, second.test),
        by_decoding=by_decoding,
        leak=None if first.leak is None or second.leak is None else np.concatenate([first.leak, second.leak]),
    )


def _both(first: ByDecoding, second: ByDecoding) -> ByDecoding:
    return lambda ablations, weights: np.concatenate([first(ablations, weights), second(ablations, weights)])


def _joined(first: LabelledTexts, second: LabelledTexts) -> LabelledTexts:
    return LabelledTexts(
        *(np.concatenate([getattr(t, name) for t in (first, second)]) for name in LabelledTexts.__dataclass_fields__)
    )


def _label_numbers(name: str, corpus: Corpus, labels: Sequence[str]) -> list[int]:
    missing = [label for label in labels if label not in corpus.label_names]
    if missing:
        raise UnweaveError(
            f"{name}: has no class {missing[0]!r}; its classes are {', '.join(corpus.label_names)}: set `labels`"
        )
    return [list(corpus.label_names).index(label) for label in labels]


def _with_quadrants(texts: AblatableTexts, place: int, of_label: Sequence[int]) -> AblatableTexts:
    """Label the texts with their quadrant; those of other classes are in none (-1)."""

    def numbered(part: LabelledTexts) -> LabelledTexts:
        quadrants = np.full(len(part.labels), -1)
        for column, label in enumerate(of_label):
            quadrants[part.labels == label] = 2 * place + column
        return replace(part, labels=quadrants)

    return replace(texts, train=numbered(texts.train), test=numbered(texts.test))


def train_probes(
    texts: AblatableTexts, of_train: Mapping[str, Task], of_test: Mapping[str, Task], *, saebench: bool
) -> Probes:
    """Train the three probes, in the order of PROBES."""
    probes = []
    for name in PROBES:
        chosen, y = of_train[name]
        x = texts.train.activations[chosen]
        if saebench:
            tested, y_test = of_test[name]
            probes.append(train_probe_saebench(x, y, texts.test.activations[tested], y_test))
        else:
            probes.append(train_probe(x, y))
    return Probes.stacked(probes)


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """SCR against N, both directions, and the control."""
    texts = read_quadrants(dictionary, data, settings)
    rng = np.random.default_rng(seed)
    of_train, of_test = tasks(texts.train.labels, rng), tasks(texts.test.labels, rng)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probes = train_probes(texts, of_train, of_test, saebench=settings.saebench_compat)
    resamples = resampling_weights(len(texts.test.labels), seed, strata=texts.test.labels)
    accuracies = Accuracies(of_test, resamples)
    clean = probes.logits(texts.test.activations)
    results: Results = {
        (f"probe_accuracy_of_{task}", "biased probe" if probe != task else "", 0): accuracies.of(clean, probe, task)
        for task in (LABELS, CORPORA)
        for probe in (task, BIASED)
    }
    results |= _all_arms(texts, probes, accuracies, of_train, settings, rng)
    name = " x ".join([*data.corpora])
    return [
        drawn_score(
            metric,
            values,
            n=len(texts.test.labels),
            seed=seed,
            better=True,
            dataset=name,
            label=label,
            x_name="n" if n else "",
            x=n or None,
        )
        for (metric, label, n), values in results.items()
    ]


def _all_arms(
    texts: AblatableTexts,
    probes: Probes,
    accuracies: Accuracies,
    of_train: Mapping[str, Task],
    settings: Settings,
    rng: np.random.Generator,
) -> Results:
    grouped = texts.dictionary.traits.group_size > 1 and not settings.saebench_compat
    gains = texts.atoms @ probes.weights.T
    results: Results = {}
    arms = {"": grouped} | ({"columns": False} if grouped else {})
    for label, by_group in arms.items():
        effect = effects(texts, gains, of_train, by_group=by_group)
        chosen = {
            n: [texts.columns(settings.strongest(effect[probe], n), by_group=by_group) for probe in ABLATED]
            for n in settings.numbers(len(effect[LABELS]))
        }
        for n, found in scr(texts, probes, accuracies, chosen):
            results |= {(metric, label, n): values for metric, values in found.items()}
    if settings.saebench_compat:
        return results
    for drawn in random_ablations(texts, settings, len(ABLATED), rng):
        for n, found in scr(texts, probes, accuracies, drawn):
            for metric, values in found.items():
                key = (metric, RANDOM, n)
                results[key] = results.get(key, 0) + values / settings.control_draws
    return results
