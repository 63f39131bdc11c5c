"""How interpretable the features are, without a paid judge (ComSem of the Binary Autoencoder, arXiv 2509.20997).

Each feature gets the list of tokens on which it is among the strongest. Three measures of these lists:

- ComSem's two stages with a bank of predicates in the place of a language model: the predicate that a few tokens share,
  and the share of other tokens of which it holds. A feature is interpretable if that share is above the predicate's
  rate in the corpus by an exact binomial test, at a false discovery rate of 5 % over features. Arm `released` takes the
  tokens as the released code does (usual codes included, earliest tokens, one paragraph for both stages).
- Enrichment: the share of features of which some predicate holds more often than of all tokens, at the same rate;
- Coherence: how near to each other the input embeddings of their strongest tokens lie.

Controls, on which every measure is made too: `shifted features` keep each feature's rate and bursts and are moved along
the corpus; `random features`, the authors' control, are independent noise. What the bank cannot name is not
interpretable, so shares are lower bounds; predicates of `next` tokens look further than the model does. Intervals
resample features, as if they were independent and the corpus fixed. Measures of fewer than two features are left out.
"""

from collections import Counter
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import false_discovery_control

from unweave.config import Strict
from unweave.evaluations.comsem.coherence import coherences, strongest, unit_directions
from unweave.evaluations.comsem.contexts import document_halves, occurrences
from unweave.evaluations.comsem.enrichment import Enrichment, enrichment
from unweave.evaluations.comsem.entries import Entries, collect, random_entries, shifted
from unweave.evaluations.comsem.hypotheses import BankInterpreter, Verdict, earliest, from_different_documents, verdicts
from unweave.evaluations.comsem.predicates import PredicateBank, cluster_names, facts
from unweave.evaluations.comsem.rows import Rows
from unweave.evaluations.evaluation import Corpus, EvaluationData
from unweave.methods.dictionary import Dictionary
from unweave.models.language_model import LanguageModel, load_language_model
from unweave.results.scores import Score

RELEASED, SHIFTED, RANDOM = "released", "shifted features", "random features"
FDR = 0.05
COHERENT_QUANTILE = 0.95
EXAMPLES = 20
THRESHOLDS = [eighths / 8 for eighths in range(1, 9)]


class Settings(Strict):
    """Settings of ComSem; the defaults are the released code's, but for `clusters` and `agreeing`."""

    top: Annotated[int, Field(ge=1)] = Field(default=10, description="features of a token: the strongest on it")
    explained: Annotated[int, Field(ge=2)] = Field(default=5, description="tokens of a feature that are explained")
    agreeing: Annotated[int, Field(ge=1)] = Field(default=4, description="of them, that must share what explains them")
    tested: Annotated[int, Field(ge=2)] = Field(default=8, description="most other tokens that test an explanation")
    clusters: Annotated[int, Field(ge=2)] = Field(default=128, description="of input embeddings, as predicates")
    coherent: Annotated[int, Field(ge=2)] = Field(default=10, description="strongest tokens that are to be coherent")


def corpus_bank(name: str, corpus: Corpus, model: LanguageModel, clusters: int, seed: int) -> PredicateBank:
    """Bank of predicates on the rows of a corpus.

    Raises
    ------
    UnweaveError
        if a text's tokens are not those of its rows.
    """
    found = occurrences(name, corpus, model.tokenizer)
    tokens = [occurrence.token for occurrence in found]
    names = cluster_names(corpus.tokens.ids, tokens, input_embeddings(model), clusters, seed)
    return PredicateBank.of({*facts(occurrence), name} for occurrence, name in zip(found, names, strict=True))


def input_embeddings(model: LanguageModel) -> NDArray[np.float32]:
    """(vocabulary, d)."""
    weight: torch.Tensor = model.model.get_input_embeddings().weight  # type: ignore[assignment]
    values: NDArray[np.float32] = weight.detach().float().cpu().numpy()
    return values


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Every measure and control, for every corpus.

    Raises
    ------
    UnweaveError
        if a corpus has one document only, or a text's tokens are not those of its rows.
    """
    model = load_language_model(data.model_folder, torch.float32, torch.device("cpu"))
    scores: list[Score] = []
    for name, corpus in data.corpora.items():
        tokens = corpus.tokens
        half = document_halves(tokens.docs, seed)
        bank = corpus_bank(name, corpus, model, settings.clusters, seed)
        everything = collect(dictionary, corpus.activations, settings.top, data.device)
        entries = everything.only(everything.active)
        rng = np.random.default_rng(seed)
        arms = {
            Rows(name, seed): entries,
            Rows(name, seed, SHIFTED): shifted(entries, tokens.docs, half, rng),
            Rows(name, seed, RANDOM): random_entries(everything, rng),
        }
        first, second = np.flatnonzero(half), np.flatnonzero(~half)
        for rows, arm in arms.items():
            lists = from_different_documents(
                arm.by_feature(), tokens.docs, half, settings.explained, settings.tested, rng
            )
            found = verdicts(BankInterpreter(bank, first, settings.agreeing), lists, second)
            scores += verdict_scores(rows, found, arm.n_features)
            if arm is entries:
                scores += explanation_scores(rows, found)
            scores += enrichment_scores(rows, enrichment(arm, bank))
        lists = earliest(everything.by_feature(), settings.explained, settings.tested)
        whole = np.arange(len(tokens.docs))
        found = verdicts(BankInterpreter(bank, whole, settings.agreeing), lists, whole)
        scores += verdict_scores(Rows(name, seed, RELEASED), found, everything.n_features)
        scores += coherence_scores(arms, input_embeddings(model), tokens.ids, settings.coherent, rng)
    return scores


def significant(found: list[Verdict]) -> NDArray[np.bool_]:
    """Which features (A,) are interpretable, at the false discovery rate FDR."""
    chances = [verdict.chance for verdict in found]
    below: NDArray[np.bool_] = np.asarray(false_discovery_control(chances) <= FDR if chances else [], dtype=bool)
    return below


def verdict_scores(rows: Rows, found: list[Verdict], features: int) -> list[Score]:
    """ComSem's scores of the features that have enough tokens, and how many are interpretable."""
    interpretable = significant(found)
    scores = [
        rows.score("activated", len(found), features, unit="features", better=None),
        rows.score("interpretable_features", int(interpretable.sum()), features, unit="features"),
        *rows.means(
            {
                "comsem": np.array([verdict.score for verdict in found]),
                "comsem_corrected": np.array([verdict.corrected for verdict in found]),
                "explained": np.array([verdict.explanation is not None for verdict in found]),
                "interpretable": interpretable,
            }
        ),
    ]
    for threshold in THRESHOLDS if found else ():
        reached = np.mean([verdict.score >= threshold for verdict in found])
        scores.append(rows.score("comsem_reached", float(reached), len(found), x_name="threshold", x=threshold))
    return scores


def explanation_scores(rows: Rows, found: list[Verdict]) -> list[Score]:
    """Kinds of the explanations of interpretable features, and the EXAMPLES least likely by chance."""
    interpretable = [verdict for verdict, yes in zip(found, significant(found), strict=True) if yes]
    kinds = Counter(str(verdict.explanation).partition(":")[0] for verdict in interpretable)
    n = len(interpretable)
    return [
        rows.score("explanation_kind", count / n, n, better=None, label=kind) for kind, count in sorted(kinds.items())
    ] + [
        rows.score(
            "explanation",
            verdict.score,
            verdict.tested,
            better=None,
            label=str(verdict.explanation),
            x_name="feature",
            x=verdict.feature,
        )
        for verdict in sorted(interpretable, key=lambda verdict: verdict.chance)[:EXAMPLES]
    ]


def enrichment_scores(rows: Rows, found: Enrichment) -> list[Score]:
    """Share of features with an enriched predicate, and how well the best describes their tokens."""
    return rows.means(
        {
            "enriched": found.adjusted <= FDR,
            "enriched_precision": found.precision,
            "enriched_recall": found.recall,
        }
    )


def coherence_scores(
    arms: dict[Rows, Entries],
    embeddings: NDArray[np.float32],
    ids: NDArray[np.integer],
    top: int,
    rng: np.random.Generator,
) -> list[Score]:
    """Coherence of each arm, and the share of features above a quantile of the shifted ones."""
    scores = []
    unit = unit_directions(embeddings, ids)
    for metric, distinct in (("coherence", None), ("coherence_distinct", ids)):
        found = {rows.label: coherences(strongest(arm, top, rng, distinct), unit) for rows, arm in arms.items()}
        bar = np.quantile(found[SHIFTED], COHERENT_QUANTILE) if len(found[SHIFTED]) else np.inf
        for rows in arms:
            values = found[rows.label]
            scores += rows.means({metric: values, f"{metric}_above_null": values > bar})
    return scores
