"""Targeted probe perturbation: whether ablating a class's features hurts that class's probe and no other (SAEBench).

A probe per class reads mean-pooled activations. A feature's effect on class c is max(0, mean code of c's texts - mean
code of the others) times <w_c, atom>; the N features of largest effect are ablated in all test texts. With A_c the
accuracy of probe c and A_c|i its accuracy without the features of class i,

    intended_i = A_i - A_i|i,    unintended_i = mean over j != i of (A_j - A_j|i),    tpp_i = intended_i - unintended_i.

Signed codes are split into their two signs first. The codes of a group act as one feature, whose effect is that of the
mean difference of its whole contribution; N then counts groups, and with the label `columns` single codes.
The control ablates N random features among those that fire: what any damage of that size does.

Where SAEBench 0.6.0 differs (`saebench_compat` follows it):
- it ablates the codes of padding too, which are not zero where encoding has an offset, and divides by the real tokens;
- each accuracy is of newly drawn negatives, so that the list of N changes the numbers;
- probes are trained for a fixed time and chosen by their accuracy on the test texts;
- where fewer than N effects are positive, features without any effect are ablated, in an order of chance: here only
  features of positive effect are;
- signed codes are not split, so that a feature whose negative tail carries a class has no effect; groups are columns.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from unweave.evaluations.balanced_samples import Draws
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.intervals import resampling_weights
from unweave.evaluations.linear_probes import Probes
from unweave.evaluations.probe_ablation import (
    AblatableTexts,
    AblationSettings,
    mean_difference,
    random_ablations,
    read_texts,
)
from unweave.evaluations.resampled_scores import drawn_score
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FEATURES, COLUMNS, RANDOM = "", "columns", "random features"

Results = dict[tuple[str, str, int], Floats]
"""(metric, label, N) to values (C, draws), of which the first draw is of the texts as they are."""


class Settings(AblationSettings):
    """Settings of targeted probe perturbation."""


def perturbation(clean: Sequence[Floats], ablated: Sequence[Sequence[Floats]]) -> dict[str, Floats]:
    """`tpp`, `tpp_intended` and `tpp_unintended` (C, draws) from accuracies (draws,) of C probes.

    `clean` are those of each probe, `ablated[i]` those without the features of class i.
    """
    drops = np.array(clean)[None] - np.array(ablated)
    classes = len(clean)
    intended = drops[np.arange(classes), np.arange(classes)]
    unintended = (drops.sum(axis=1) - intended) / (classes - 1)
    return {"tpp": intended - unintended, "tpp_intended": intended, "tpp_unintended": unintended}


def class_effects(texts: AblatableTexts, gains: Floats, draws: Draws, *, by_group: bool) -> Floats:
    """Effect (C, units) of each column, or of each group of columns, on the probe of each class."""
    codes, labels = texts.train.features, texts.train.labels
    found = []
    for index, target in enumerate(np.unique(labels).tolist()):
        difference = mean_difference(codes, *draws.train(labels, target))
        if by_group:
            found.append((difference * gains[:, index])[texts.groups].sum(axis=1))
        else:
            found.append(np.maximum(difference, 0) * gains[:, index])
    return np.array(found)


class Accuracies:
    """Accuracy of each probe on balanced samples of the test texts, as they are and resampled."""

    def __init__(self, texts: AblatableTexts, probes: Probes, draws: Draws, resamples: Floats) -> None:
        self.targets = np.unique(texts.test.labels).tolist()
        self.clean_logits = probes.logits(texts.test.activations)
        self._labels = texts.test.labels
        self._draws = draws
        self._weights = np.vstack([np.ones(len(self._labels)), resamples])

    def of(self, logits: Floats) -> list[Floats]:
        """Accuracy (draws,) of every class's probe, whose `logits` are (m, C)."""
        found = []
        for index, target in enumerate(self.targets):
            chosen, y = self._draws.test(self._labels, target)
            right = (logits[chosen, index] > 0) == y
            weights = self._weights[:, chosen]
            found.append((weights @ right) / weights.sum(axis=1))
        return found


def perturb(
    texts: AblatableTexts, probes: Probes, accuracies: Accuracies, ablations: Mapping[int, Sequence[Integers]]
) -> Iterator[list[list[Floats]]]:
    """For each N of `ablations` (N to the columns that are ablated for each class): `ablated` of `perturbation`."""
    every = [columns for by_class in zip(*ablations.values(), strict=True) for columns in by_class]
    logits = iter(texts.ablated(accuracies.clean_logits, probes, every))
    by_class = [[accuracies.of(next(logits)) for _ in ablations] for _ in accuracies.targets]
    for index, _ in enumerate(ablations):
        yield [of_class[index] for of_class in by_class]


def tpp(
    texts: AblatableTexts, settings: Settings, draws: Draws, resamples: Floats, seed: int, probes: Probes
) -> Results:
    """All metrics of one corpus; `resamples` (draws, m) are bootstrap weights of its test texts."""
    gains = texts.atoms @ probes.weights.T
    accuracies = Accuracies(texts, probes, draws, resamples)
    clean = accuracies.of(accuracies.clean_logits)
    results: Results = {("probe_accuracy", "", 0): np.array(clean)}
    grouped = texts.dictionary.traits.group_size > 1 and not settings.saebench_compat
    arms = {FEATURES: grouped} | ({COLUMNS: False} if grouped else {})
    for label, by_group in arms.items():
        effect = class_effects(texts, gains, draws, by_group=by_group)
        ns = settings.numbers(effect.shape[1])
        chosen = {n: [texts.columns(settings.strongest(e, n), by_group=by_group) for e in effect] for n in ns}
        for n, ablated in zip(ns, perturb(texts, probes, accuracies, chosen), strict=True):
            results |= {(metric, label, n): v for metric, v in perturbation(clean, ablated).items()}
    if not settings.saebench_compat:
        results |= random_features(texts, settings, probes, accuracies, clean, seed)
    return results


def random_features(
    texts: AblatableTexts, settings: Settings, probes: Probes, accuracies: Accuracies, clean: list[Floats], seed: int
) -> Results:
    """Ablate as many features (or groups), drawn for each class from those that fire in the training texts."""
    totals: Results = {}
    for drawn in random_ablations(texts, settings, len(accuracies.targets), np.random.default_rng(seed)):
        for n, ablated in zip(drawn, perturb(texts, probes, accuracies, drawn), strict=True):
            for metric, values in perturbation(clean, ablated).items():
                totals[metric, RANDOM, n] = totals.get((metric, RANDOM, n), 0) + values / settings.control_draws
    return totals


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """TPP against N for every corpus, its two parts, each class's own, and the control."""
    scores = []
    for name, corpus in data.corpora.items():
        texts = read_texts(name, corpus, dictionary, data.device, settings.saebench_context)
        resamples = resampling_weights(len(texts.test.labels), [seed, *name.encode()], strata=texts.test.labels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            draws = Draws.saebench() if settings.saebench_compat else Draws.fixed(seed)
            probes = texts.train_probes(draws, saebench=settings.saebench_compat)
            results = tpp(texts, settings, draws, resamples, seed, probes)
        scores += _scores(name, results, len(texts.test.labels), corpus.label_names, seed)
    return scores


def _scores(name: str, results: Results, n: int, label_names: Sequence[str], seed: int) -> list[Score]:
    def score(metric: str, label: str, x: int, values: Floats) -> Score:
        return drawn_score(
            metric,
            values,
            n=n,
            seed=seed,
            better=None if metric == "tpp_unintended" else True,
            dataset=name,
            label=label,
            x_name="n" if x else "",
            x=x or None,
        )

    scores = []
    for (metric, label, x), values in results.items():
        scores.append(score(metric, label, x, values.mean(axis=0)))
        if label == FEATURES and metric in ("tpp", "probe_accuracy"):
            scores += [score(f"class_{metric}", t, x, v) for t, v in zip(label_names, values, strict=True)]
    return scores
