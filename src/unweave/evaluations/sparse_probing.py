"""Whether a text's class can be read from only k features (SAEBench sparse probing, as ICA Lens uses it).

A text is the mean of its rows' features; signed codes are split into their two signs first. For each class, one
against the rest and balanced, features are ranked by |mean of the positives - mean of the negatives| on the training
texts, and a logistic regression (L2, C = 1) on the k first is scored by accuracy on the test texts.

Two differences from SAEBench 0.6.0, which `saebench_compat` undoes: the negatives of a class are drawn once, by the
seed and the class, and serve every k, arm and dictionary, where it draws them anew for each, so that the list of k
changes the results; and it does not split signs, so that a code that a class makes stronger in both directions tells
nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.linear_model import LogisticRegression

from unweave.config import Strict
from unweave.evaluations.balanced_samples import Draws
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.intervals import percentile_interval, resampling_weights
from unweave.evaluations.pooling import LabelledTexts, pool
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Settings(Strict):
    """Settings of sparse probing."""

    k: list[Annotated[int, Field(ge=1)]] = Field(
        default=[1, 2, 5, 10, 20, 50, 100], description="features given to the probe"
    )
    control_draws: Annotated[int, Field(ge=2)] = Field(
        default=5, description="seeded draws of random features, and of shuffled labels, that are averaged"
    )
    saebench_compat: bool = Field(default=False, description="draw and probe as SAEBench 0.6.0 does, without controls")


@dataclass(frozen=True)
class Task:
    """One class against the rest, balanced: indices into the training and the test texts, and their 0/1 targets."""

    train: Integers
    train_y: Integers
    test: Integers
    test_y: Integers


def ranking(features: Floats, y: Integers) -> Integers:
    """Columns of `features` by descending |mean where y is 1 - mean where y is 0|."""
    difference = np.abs(features[y == 1].mean(axis=0) - features[y == 0].mean(axis=0))
    return np.argsort(-difference, kind="stable")


def correct(train: Floats, train_y: Integers, test: Floats, test_y: Integers) -> Floats:
    """1 where a logistic regression fitted on the training texts is right about a test text, else 0."""
    probe = LogisticRegression(C=1.0, max_iter=1000).fit(train, train_y)
    right: Floats = (probe.predict(test) == test_y).astype(np.float64)
    return right


def probe_task(
    task: Task, train: LabelledTexts, test: LabelledTexts, settings: Settings, rng: np.random.Generator
) -> Iterator[tuple[str, int, Floats]]:
    """Label of the arm, k, and correctness (draws, test texts) of one task; only controls have more than one draw."""
    x, x_test = train.features[task.train], test.features[task.test]
    columns = x.shape[1]
    draws = range(settings.control_draws)
    shuffled = [rng.permutation(task.train_y) for _ in draws]
    arms = {
        "": [(ranking(x, task.train_y), task.train_y)],
        "random coordinates": [(rng.permutation(columns), task.train_y) for _ in draws],
        "shuffled labels": [(ranking(x, y), y) for y in shuffled],
    }
    for label, repeats in arms.items():
        for k in sorted({k for k in settings.k if k <= columns}):
            results = [correct(x[:, order[:k]], y, x_test[:, order[:k]], task.test_y) for order, y in repeats]
            yield label, k, np.array(results)
    raw, raw_test = train.activations[task.train], test.activations[task.test]
    yield "raw activations", raw.shape[1], correct(raw, task.train_y, raw_test, task.test_y)[None]


@dataclass(frozen=True)
class Accuracy:
    """An accuracy, its bootstrap resamples (draws,) and the number of test texts."""

    value: float
    resampled: Floats
    n: int

    def minus(self, other: "Accuracy") -> "Accuracy":
        """Take the paired difference: both were resampled with the same weights."""
        return Accuracy(self.value - other.value, self.resampled - other.resampled, self.n)


def mean_accuracy(parts: list[Accuracy], n: int) -> Accuracy:
    """Unweighted mean of `parts` on `n` texts."""
    return Accuracy(
        float(np.mean([part.value for part in parts])), np.mean([part.resampled for part in parts], axis=0), n
    )


Curves = dict[tuple[str, str, int], Accuracy]
"""(metric, label, k) to accuracy."""


def probe_corpus(
    name: str, train: LabelledTexts, test: LabelledTexts, label_names: Sequence[str], settings: Settings, seed: int
) -> Curves:
    """All accuracies of the corpus `name`, whose texts are resampled independently of other corpora's.

    Controls are resampled over their draws too: a few shuffles of well-separated classes lie far apart.
    """
    weights = resampling_weights(len(test.labels), [seed, *name.encode()], strata=test.labels)
    samples = Draws.fixed(seed)
    by_class: dict[tuple[str, int], dict[str, Accuracy]] = {}
    for target in np.unique(train.labels).tolist():
        rng = np.random.default_rng([seed, target])
        task = Task(*samples.train(train.labels, target), *samples.test(test.labels, target))
        texts = weights[:, task.test]
        draws = resampling_weights(settings.control_draws, [seed, target, *name.encode()]) / settings.control_draws
        for label, k, right in probe_task(task, train, test, settings, rng):
            by_draw = (texts @ right.T) / texts.sum(axis=1, keepdims=True)
            resampled = (by_draw * draws).sum(axis=1) if len(right) > 1 else by_draw[:, 0]
            accuracy = Accuracy(float(right.mean()), resampled, len(task.test))
            by_class.setdefault((label, k), {})[label_names[target]] = accuracy
    curves: Curves = {}
    for (label, k), classes in by_class.items():
        curves["accuracy", label, k] = mean_accuracy(list(classes.values()), len(test.labels))
        if label == "":
            curves.update({("class_accuracy", title, k): accuracy for title, accuracy in classes.items()})
    for (_, label, k), accuracy in list(curves.items()):
        if label == "random coordinates":
            curves["accuracy_gain", label, k] = curves["accuracy", "", k].minus(accuracy)
    return curves


def probe_saebench(
    train: LabelledTexts, test: LabelledTexts, label_names: Sequence[str], settings: Settings, seed: int
) -> Curves:
    """Accuracies as SAEBench 0.6.0 prints them: one after the other from one stream of random numbers, in float32."""
    curves: Curves = {}
    samples = Draws.saebench()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for k in settings.k:
            for target in np.unique(train.labels).tolist():
                (chosen, y), (chosen_test, y_test) = (
                    samples.train(train.labels, target),
                    samples.test(test.labels, target),
                )
                x, x_test = (
                    t.features[c].astype(np.float32).astype(np.float64)
                    for t, c in ((train, chosen), (test, chosen_test))
                )
                columns = np.sort(ranking(x, y)[:k])
                right = correct(x[:, columns], y, x_test[:, columns], y_test)
                weights = resampling_weights(len(right), [seed, target])
                curves["class_accuracy", label_names[target], k] = Accuracy(
                    float(right.mean()), weights @ right / len(right), len(right)
                )
            classes = [accuracy for (_, _, other), accuracy in curves.items() if other == k]
            curves["accuracy", "", k] = mean_accuracy(classes, len(test.labels))
    return curves


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Accuracy against k, for every corpus and for their unweighted mean (`all`)."""
    tables: dict[str, Curves] = {}
    for name, corpus in data.corpora.items():
        compat = settings.saebench_compat
        parts = pool(name, corpus, dictionary, data.device, split_signed=not compat)
        if compat:
            tables[name] = probe_saebench(parts["train"], parts["test"], corpus.label_names, settings, seed)
        else:
            tables[name] = probe_corpus(name, parts["train"], parts["test"], corpus.label_names, settings, seed)
    shared = [key for key in next(iter(tables.values())) if key[0] != "class_accuracy"]
    tables["all"] = {
        key: mean_accuracy(
            [curves[key] for curves in tables.values()], sum(curves[key].n for curves in tables.values())
        )
        for key in shared
    }
    scores = []
    for name, curves in tables.items():
        for (metric, label, k), accuracy in curves.items():
            low, high = percentile_interval(accuracy.resampled)
            scores.append(
                Score(
                    metric=metric,
                    value=accuracy.value,
                    dataset=name,
                    n=accuracy.n,
                    unit="1",
                    higher_is_better=True,
                    ci_low=low,
                    ci_high=high,
                    x_name="k",
                    x=k,
                    label=label,
                    seed=seed,
                )
            )
    return scores
