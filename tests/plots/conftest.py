"""Synthetic score tables in the vocabulary of the evaluations, for a whole run and for the smallest one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
import pytest

from unweave.results.references import References, read
from unweave.results.scores import Score, ScoreKey, table

MODEL = "smollm2"
TITLES = {
    "methods": {
        "ica-v2": "ICA (v2: raw, 50 iterations)",
        "ica-v1": "ICA (v1: unit rows, up to 300 iterations)",
        "pca": "PCA (raw)",
        "pca-rownorm": "PCA (unit rows)",
        "random": "Random basis (raw)",
        "random-rownorm": "Random basis (unit rows)",
    },
    "datasets": {
        "news": "AG News, unlabelled",
        "news-heldout": "AG News, unlabelled",
        "ag-news": "AG News topics",
        "rotten-tomatoes": "Rotten Tomatoes sentiment",
        "languages": "Languages",
        "bank": "Four sentences with “bank”",
    },
    "models": {MODEL: "SmolLM2-135M-Instruct (4-bit-rounded weights)"},
}
LEVEL = {"ica": 1.0, "pca": 0.45, "random": 0.2}
WIDTH = 576


@dataclass(frozen=True)
class Run:
    """Which dictionaries a synthetic run holds: arms at all layers, and more arms at one of them."""

    layers: tuple[int, ...]
    arms: tuple[str, ...]
    more_arms: tuple[str, ...] = ()
    probed: tuple[int, ...] = ()
    corpora: tuple[str, ...] = ("news", "news-heldout", "news-heldout-all")
    labelled: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def middle(self) -> int:
        return self.layers[len(self.layers) // 2]

    def fits(self, *, middle_only: bool = False) -> Iterator[tuple[int, str]]:
        for layer in (self.middle,) if middle_only else self.layers:
            for method in self.arms + (self.more_arms if layer == self.middle else ()):
                yield layer, method


FULL = Run(
    layers=(2, 5, 10, 15, 20),
    arms=("ica-v2", "pca", "random"),
    more_arms=("ica-v1", "pca-rownorm", "random-rownorm"),
    probed=(10, 20),
    labelled={
        "ag-news": ("World", "Sports", "Business", "Technology"),
        "rotten-tomatoes": ("negative", "positive"),
        "languages": ("English", "French", "German"),
    },
)
SMALL = Run(layers=(2,), arms=("ica-v2", "pca", "random"), labelled={"rotten-tomatoes": ("negative", "positive")})
LONE = Run(layers=(3,), arms=("pca",), corpora=("news",), labelled={"rotten-tomatoes": ("negative", "positive")})

SENTENCES = {
    "financial": (
        "losing his wallet , he asked the cashier to freeze his savings account at the bank until Monday .",
        "young couple paid $ 5 in fees and then signed for a mortgage with the bank near their office .",
    ),
    "river": (
        "tied the canoe to a wil low and climbed up the muddy bank before the water rose .",
        "rain sw elled the stream until it spilled over its grassy bank and flooded the lower meadow .",
    ),
}
"""First tokens are left out, as a harvest does."""


def _family(method: str) -> str:
    return method.split("-")[0]


def _rows(evaluation: str, layer: int, method: str, scores: list[Score]) -> pd.DataFrame:
    key = ScoreKey(
        model=MODEL,
        revision="0" * 12,
        site="resid",
        layer=layer,
        method=method,
        fit_seed=0,
        evaluation=evaluation,
        device="cpu",
        code="c" * 16,
        spec="s" * 16,
    )
    return table(key, scores)


def nongaussianity(run: Run) -> pd.DataFrame:
    tables = []
    for layer, method in run.fits():
        rows: list[Score] = []
        for corpus in run.corpora:
            mean = 40 * LEVEL[_family(method)] ** 2.5 * (1 + layer / 10) * (1.3 if corpus == "news" else 1)
            if corpus == "news-heldout-all" and layer == 20:
                mean *= 200  # a few tokens of extreme norm do this
            score = partial(Score, dataset=corpus, n=WIDTH, unit="1", higher_is_better=None)
            rows.append(score(metric="excess_kurtosis", value=mean, ci_low=0.9 * mean, ci_high=1.12 * mean))
            rows += [
                score(metric="excess_kurtosis", x_name="quantile", x=q, value=mean * factor - 0.4)
                for q, factor in {0.05: 0.05, 0.25: 0.3, 0.5: 0.6, 0.75: 1.1, 0.95: 3.5}.items()
            ]
            share = min(1.0, 0.5 + LEVEL[_family(method)] / 2)
            rows.append(
                score(metric="share_above_gaussian", value=share, ci_low=share - 0.02, ci_high=min(share + 0.02, 1))
            )
        tables.append(_rows("nongaussianity", layer, method, rows))
    return pd.concat(tables, ignore_index=True)


def reconstruction(run: Run) -> pd.DataFrame:
    tables = []
    for layer, method in run.fits():
        rows: list[Score] = []
        for k in (0, 1, 3, 10, 30, 100, 300, WIDTH):
            share = np.log1p(k) / np.log1p(WIDTH)
            start = 0.75 - 0.01 * layer
            cosine = start + (1 - start) * share ** (2 - LEVEL[_family(method)])
            score = partial(
                Score, dataset=run.corpora[:2][-1], n=8000, unit="1", higher_is_better=True, x_name="k", x=k
            )
            rows.append(score(metric="cosine", value=cosine, ci_low=cosine - 0.005, ci_high=cosine + 0.005))
            rows.append(score(metric="fve", value=share, ci_low=share - 0.01, ci_high=share + 0.01))
        tables.append(_rows("reconstruction", layer, method, rows))
    return pd.concat(tables, ignore_index=True)


def patching(run: Run) -> pd.DataFrame:
    tables = []
    for layer, method in run.fits(middle_only=True):
        rows: list[Score] = []
        score = partial(Score, dataset=run.corpora[:2][-1], n=1000, higher_is_better=True)
        for k in (10, 100, WIDTH):
            recovered = 1 - (1 - LEVEL[_family(method)] / 2) * (1 - np.log(k) / np.log(WIDTH))
            kl = max(6 * (1 - recovered), 1e-4)
            curve = partial(score, x_name="k", x=k)
            rows.append(
                curve(
                    metric="ce_recovered", value=recovered, ci_low=recovered - 0.04, ci_high=recovered + 0.03, unit="1"
                )
            )
            rows.append(curve(metric="kl", value=kl, ci_low=0.8 * kl, ci_high=1.3 * kl, unit="nats"))
        rows.append(score(metric="ce_recovered", value=0.1, ci_low=0.05, ci_high=0.15, unit="1", label="mean ablation"))
        rows += [
            score(metric="kl", value=value, ci_low=value - 0.2, ci_high=value + 0.2, unit="nats", label=label)
            for label, value in {"mean ablation": 6.0, "zero ablation": 7.5}.items()
        ]
        tables.append(_rows("patching", layer, method, rows))
    return pd.concat(tables, ignore_index=True)


def sparse_probing(run: Run) -> pd.DataFrame:
    tables = []
    for layer, method in run.fits():
        if run.probed and layer not in run.probed:
            continue
        rows: list[Score] = []
        for i, (corpus, classes) in enumerate([("all", ()), *run.labelled.items()]):
            i = min(i, len(run.labelled) - 1)
            score = partial(Score, dataset=corpus, n=240, unit="1", higher_is_better=True, x_name="k")
            for k in (1, 2, 5, 10, 20, 50, 100):
                gain = 0.4 * (np.log(k) + 1) / (np.log(100) + 1)
                values = {
                    "": 0.55 + gain * (0.6 + 0.4 * LEVEL[_family(method)]) - 0.02 * i,
                    "random coordinates": 0.52 + 0.6 * gain - 0.02 * i,
                    "shuffled labels": 0.5 + 0.01 * np.sin(k),
                }
                for label, value in values.items():
                    rows.append(
                        score(
                            metric="accuracy", value=value, ci_low=value - 0.03, ci_high=value + 0.03, x=k, label=label
                        )
                    )
                difference = values[""] - values["random coordinates"]
                rows.append(
                    score(
                        metric="accuracy_gain",
                        value=difference,
                        ci_low=difference - 0.02,
                        ci_high=difference + 0.02,
                        x=k,
                        label="random coordinates",
                    )
                )
                rows += [score(metric="class_accuracy", value=values[""], x=k, label=name) for name in classes]
            raw = 0.95 - 0.02 * i
            rows.append(
                score(
                    metric="accuracy",
                    value=raw,
                    ci_low=raw - 0.02,
                    ci_high=raw + 0.02,
                    x=WIDTH,
                    label="raw activations",
                )
            )
        tables.append(_rows("sparse-probing", layer, method, rows))
    return pd.concat(tables, ignore_index=True)


def sentence_traces(run: Run) -> pd.DataFrame:
    tables = []
    for layer, method in run.fits(middle_only=True):
        rng = np.random.default_rng(len(method))
        tokens = [
            (document, sense, word if word in (".", "$") else f" {word}")
            for document, (sense, words) in enumerate(
                (sense, words) for sense, sentences in SENTENCES.items() for words in sentences
            )
            for word in words.split()
        ]
        codes = rng.standard_t(3, size=(len(tokens), 40))
        for row, (_, sense, text) in enumerate(tokens):
            if text.strip() == "bank":
                codes[row, 17] = 6 if sense == "financial" else -1
                codes[row, 23] = -1 if sense == "financial" else 5
        score = partial(Score, dataset="bank", n=1, unit="1", higher_is_better=None, x_name="token")
        order = np.argsort(-np.abs(codes), axis=1)[:, :5]
        rows: list[Score] = []
        for row, (document, sense, text) in enumerate(tokens):
            rows.append(score(metric="document", value=document, x=row, label=text, unit="index"))
            if text.strip() == "bank":
                rows.append(score(metric="target", value=document, x=row, label=sense, unit="index"))
            for rank, component in enumerate(order[row].tolist(), start=1):
                rows.append(score(metric="top_component", value=component, x=row, label=str(rank), unit="index"))
                rows.append(score(metric="top_code", value=codes[row, component], x=row, label=str(rank)))
            rows += [
                score(metric="code", value=codes[row, component], x=row, label=str(component))
                for component in range(40)
            ]
        split = partial(Score, dataset="bank", n=4, unit="1", higher_is_better=None)
        rows += [
            split(metric="separation", value=value, x_name="component", x=component)
            for component, value in {17: 7.0, 23: -6.0, 3: 1.5}.items()
        ]
        rows += [
            split(metric="largest_separation", value=value, x_name="split", x=i, label="relabelled" if i else "true")
            for i, value in enumerate((7.0, 2.5, 3.1))
        ]
        rows.append(Score(metric="split_rank", value=1, dataset="bank", n=3, unit="index", higher_is_better=None))
        run = partial(Score, metric="run_length", dataset="bank", unit="tokens", higher_is_better=None)
        rows += [
            run(value=2.0, ci_low=1.5, ci_high=2.5, n=40),
            run(value=1.2, ci_low=1.1, ci_high=1.4, n=40, label="shuffled tokens"),
        ]
        tables.append(_rows("sentence-traces", layer, method, rows))
    return pd.concat(tables, ignore_index=True)


EVALUATIONS: dict[str, Callable[[Run], pd.DataFrame]] = {
    "nongaussianity": nongaussianity,
    "reconstruction": reconstruction,
    "patching": patching,
    "sparse-probing": sparse_probing,
    "sentence-traces": sentence_traces,
}
RUNS = {"full": FULL, "small": SMALL, "lone": LONE}


@pytest.fixture(scope="session")
def titles() -> dict[str, dict[str, str]]:
    return TITLES


@pytest.fixture(scope="session")
def references() -> References:
    return read("ica")


@pytest.fixture(scope="session")
def synthetic() -> Callable[..., pd.DataFrame]:
    """Scores of the named evaluations for the run "full", "small" or "lone" (one arm, one layer, one corpus)."""

    def scores(run: str, *evaluations: str) -> pd.DataFrame:
        return pd.concat([EVALUATIONS[name](RUNS[run]) for name in evaluations], ignore_index=True)

    return scores
