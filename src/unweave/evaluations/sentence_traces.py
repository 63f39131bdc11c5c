"""Components along a few sentences, and those that tell two senses of one word apart (ICA Lens, the "bank" case study).

For every token: its strongest components by |code|. At the target word: separation = (mean code in the sentences of the
first sense - mean in those of the second) / standard deviation of the code over all tokens of the corpus. The deviation
within a sense would be pure noise with two sentences each.

So many components are compared on so few sentences that some separate them by chance. The honest yardstick is the
largest |separation| under every other division of the sentences into groups of the same sizes: all are reported, and
the rank of the true one. With 2 + 2 sentences there are only 3 divisions, so rank 1 means no more than "1 in 3".

How smooth a trace is (v1's ridgeline of ICA and of an SAE): `run_length` counts the tokens around its largest |code| in
a sentence that stay at half of that or above; beside it the same with the sentence's tokens in random order, which
leaves only what a dense code gives.
"""

from collections.abc import Iterator
from functools import partial
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import Corpus, EvaluationData
from unweave.evaluations.resampled_scores import mean_score
from unweave.methods.dictionary import Dictionary
from unweave.models.language_model import load_tokenizer
from unweave.results.scores import Score

MAX_DIVISIONS = 20_000
SHUFFLED = "shuffled tokens"

Floats = NDArray[np.float64]


class Settings(Strict):
    """Settings of the sentence traces."""

    target_word: str = Field(default="bank", description="the word with two senses, one token of the model")
    senses: Annotated[dict[str, Annotated[list[int], Field(min_length=1)]], Field(min_length=2, max_length=2)] = Field(
        description="name of each sense to the indices of its documents in the data set"
    )
    top: Annotated[int, Field(ge=1)] = Field(default=5, description="strongest components reported per token")
    separating: Annotated[int, Field(ge=1)] = Field(default=5, description="most separating components that are traced")


def token_texts(model_folder: Path, ids: NDArray[np.integer]) -> list[str]:
    """Text of each token id by the model's tokenizer."""
    tokenizer = load_tokenizer(model_folder)
    return [str(tokenizer.decode([int(token)])) for token in ids]


def divisions(members: int, first: int) -> Iterator[NDArray[np.bool_]]:
    """Masks (members,) of every division into groups of `first` and the rest, the one of the first `first` leading.

    Two groups of the same size are interchangeable, so then only divisions with member 0 in the first group are made.
    """
    for chosen in combinations(range(members), first):
        if 2 * first != members or 0 in chosen:
            mask = np.zeros(members, dtype=bool)
            mask[list(chosen)] = True
            yield mask


def separation(codes: Floats, in_first: NDArray[np.bool_], scale: Floats) -> Floats:
    """(mean of the first group - mean of the second) / scale of each component; codes (m, F), scale (F,)."""
    difference: Floats = (codes[in_first].mean(axis=0) - codes[~in_first].mean(axis=0)) / scale
    return difference


def run_length(trace: Floats) -> int:
    """Tokens around the maximum of |trace| (T,) without a gap that are at least half as large, itself included."""
    strong = np.abs(trace) >= np.abs(trace).max() / 2
    peak = int(np.abs(trace).argmax())
    before, after = np.cumprod(strong[:peak][::-1]), np.cumprod(strong[peak + 1 :])
    return 1 + int(before.sum()) + int(after.sum())


def _run_lengths(codes: Floats, docs: NDArray[np.integer], strongest: NDArray[np.integer], seed: int) -> list[Floats]:
    """Run lengths (traces,) as the sentences stand and with their tokens shuffled.

    A trace is that of a component of codes (n, F) that is the `strongest` (n,) of some token of the sentence.
    """
    rng = np.random.default_rng(seed)
    lengths: list[list[int]] = [[], []]
    for document in np.unique(docs):
        rows = np.flatnonzero(docs == document)
        for component in np.unique(strongest[rows]):
            trace = codes[rows, component]
            if trace.any():
                for found, order in zip(lengths, (trace, rng.permutation(trace)), strict=True):
                    found.append(run_length(order))
    return [np.array(found, dtype=np.float64) for found in lengths]


def _codes_at_target(
    name: str, codes: Floats, docs: NDArray[np.integer], texts: list[str], settings: Settings
) -> tuple[Floats, dict[int, str]]:
    """Mean code (m, F) at the target word of each document of the first sense, then the second; sense of each row."""
    is_target = np.array([text.strip().lower() == settings.target_word.lower() for text in texts])
    means, sense_of_row = [], {}
    for sense, members in settings.senses.items():
        for document in members:
            rows = np.flatnonzero(is_target & (docs == document))
            if rows.size == 0:
                raise UnweaveError(
                    f"{name}: document {document} (sense {sense!r}) has no token {settings.target_word!r}: "
                    "correct senses or target_word of the evaluation"
                )
            means.append(codes[rows].mean(axis=0))
            sense_of_row.update(dict.fromkeys(rows.tolist(), sense))
    return np.array(means), sense_of_row


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Traces and separations, for every corpus.

    Raises
    ------
    UnweaveError
        if a document of a sense lacks the target word, or there are too many divisions to list.
    """
    return [
        score
        for name, corpus in data.corpora.items()
        for score in _scores(name, corpus, dictionary, data, settings, seed)
    ]


def _scores(
    name: str, corpus: Corpus, dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int
) -> list[Score]:
    codes = (
        torch.cat([dictionary.encode(x.to(data.device)).cpu() for x in corpus.activations.blocks()]).double().numpy()
    )
    docs = corpus.tokens.docs
    texts = token_texts(data.model_folder, corpus.tokens.ids)
    at_target, sense_of_row = _codes_at_target(name, codes, docs, texts, settings)
    first = len(next(iter(settings.senses.values())))
    if comb(len(at_target), first) > MAX_DIVISIONS:
        raise UnweaveError(f"{name}: {len(at_target)} sentences are too many to list every division: give at most 16")

    scale = codes.std(axis=0)
    scale[scale == 0] = np.inf
    observed, *relabelled = (separation(at_target, mask, scale) for mask in divisions(len(at_target), first))
    largest = [float(np.abs(values).max()) for values in (observed, *relabelled)]
    separating = np.argsort(-np.abs(observed), kind="stable")[: settings.separating]
    order = np.argsort(-np.abs(codes), axis=1, kind="stable")[:, : settings.top]
    traced = np.union1d(order[:, 0], separating)

    score = partial(Score, dataset=name, unit="1", higher_is_better=None, seed=seed)
    of_token = partial(score, n=1, x_name="token")
    scores = []
    for row, (text, document) in enumerate(zip(texts, docs.tolist(), strict=True)):
        scores.append(of_token(metric="document", value=document, unit="index", x=row, label=text))
        if row in sense_of_row:
            scores.append(of_token(metric="target", value=document, unit="index", x=row, label=sense_of_row[row]))
        for rank, component in enumerate(order[row].tolist(), start=1):
            scores.append(of_token(metric="top_component", value=component, unit="index", x=row, label=str(rank)))
            scores.append(of_token(metric="top_code", value=codes[row, component], x=row, label=str(rank)))
        scores += [of_token(metric="code", value=codes[row, j], x=row, label=str(j)) for j in traced.tolist()]
    n = len(at_target)
    for j in separating.tolist():
        scores.append(score(metric="separation", value=observed[j], n=n, x_name="component", x=j))
    for i, value in enumerate(largest):
        label = "relabelled" if i else "true"
        scores.append(score(metric="largest_separation", value=value, n=n, x_name="split", x=i, label=label))
    rank = 1 + sum(value > largest[0] for value in largest[1:])
    scores.append(score(metric="split_rank", value=rank, n=len(largest), unit="index"))
    for label, lengths in zip(("", SHUFFLED), _run_lengths(codes, docs, order[:, 0], seed), strict=True):
        scores.append(mean_score("run_length", lengths, unit="tokens", dataset=name, label=label, seed=seed))
    return scores
