"""What the model still knows when an activation is replaced by the dictionary's reconstruction.

The site that the dictionary rebuilds is replaced at the harvested positions, the rest of the model is run again, and
the next-token predictions of those positions are compared with the clean ones: cross-entropy CE and
KL(clean || patched), both in nats and means over positions, CE recovered = (CE_zero - CE_patched) / (CE_zero -
CE_clean) and KL recovered = 1 - KL_patched / KL_zero (SAEBench's core loss and KL scores; its KL is NaN where a
probability underflows).

Ablations replace the same positions as reconstructions do, so that a reconstruction of zeros recovers exactly 0.
SAEBench zeroes all positions instead, the attention sink among them. Dropped positions always keep their own
activations. Everything is computed in float32.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import kl_div
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from unweave.config import Site, Strict
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import Corpus, EvaluationData, target_of
from unweave.evaluations.intervals import resampling_weights
from unweave.evaluations.resampled_scores import drawn_score
from unweave.evaluations.sparse_codes import sparse_reconstructions, sparsities
from unweave.methods.dictionary import Dictionary
from unweave.models.hook_points import HookPoint, capture, replaced
from unweave.models.language_model import load_language_model
from unweave.models.partial_forward import logits_from
from unweave.results.scores import Score

CLEAN, ZERO, MEAN = "clean", "zero ablation", "mean ablation"

Floats = NDArray[np.float64]
Arm = str | int
"""A baseline, or the k of a reconstruction."""


class Settings(Strict):
    """Settings of the patching evaluation."""

    k: list[Annotated[int, Field(ge=0)]] = Field(
        default=[10, 100], description="codes kept per token; all codes are always measured too"
    )
    tokens: Annotated[int, Field(ge=1)] = Field(
        default=1000, description="documents are taken in stored order until this many positions are replaced"
    )


@dataclass(frozen=True)
class Document:
    """Token ids (T,) of one document and which of its positions (P,) were harvested."""

    ids: Tensor
    positions: Tensor

    @property
    def scored(self) -> Tensor:
        """Harvested positions that have a next token."""
        return self.positions[self.positions < len(self.ids) - 1]


def read_documents(name: str, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, tokens: int) -> list[Document]:
    """First documents of a corpus until they hold `tokens` harvested positions, tokenised as they were harvested.

    Raises
    ------
    UnweaveError
        if a text's tokens are not those of its rows.
    """
    rows = corpus.tokens
    documents: list[Document] = []
    taken = 0
    for index in np.unique(rows.docs).tolist():
        if taken >= tokens:
            break
        of_document = np.flatnonzero(rows.docs == index)
        positions = torch.from_numpy(rows.positions[of_document].astype(np.int64))
        ids = torch.tensor(tokenizer(corpus.texts[index])["input_ids"][: int(positions.max()) + 1])
        if len(ids) <= positions.max() or (ids[positions].numpy() != rows.ids[of_document]).any():
            raise UnweaveError(f"{name}: document {index} is not tokenised as it was harvested: harvest {name} again")
        document = Document(ids, positions)
        if len(document.scored):
            documents.append(document)
            taken += len(positions)
    return documents


def _replacements(
    dictionary: Dictionary, x: Tensor, target: Tensor, mean: Tensor, ks: list[int]
) -> Iterator[tuple[Arm, Tensor]]:
    """Arm and what it puts in the place of `target` (P, d') when x (P, d) is read; the clean arm comes first."""
    yield CLEAN, target
    yield ZERO, torch.zeros_like(target)
    yield MEAN, mean.expand_as(target)
    for k, (_, y) in zip(ks, sparse_reconstructions(dictionary, x, ks), strict=True):
        yield k, y


def _logits(model: PreTrainedModel, point: HookPoint, value_BTW: Tensor, ids_BT: Tensor) -> Tensor:
    """Logits (B, T, vocabulary) when the activation at `point` is `value_BTW`."""
    if point.site == "resid":
        return logits_from(model, point.layer, value_BTW)
    with replaced(model, point, value_BTW):
        logits: Tensor = model(input_ids=ids_BT, use_cache=False).logits
    return logits


def document_losses(
    model: PreTrainedModel,
    layer: int,
    document: Document,
    dictionary: Dictionary,
    mean: Tensor,
    ks: list[int],
    site: Site = "resid",
) -> dict[Arm, tuple[float, float]]:
    """Arm to cross-entropy and KL(clean || arm) in nats, summed over the scored positions of one document.

    `site` is read; it is replaced too, unless the dictionary writes another one. `mean` is of the replaced site.
    """
    read, written = HookPoint(site, layer), HookPoint(cast(Site, dictionary.traits.writes or site), layer)
    ids = document.ids.to(mean.device)
    with capture(model, {read, written}) as activations:
        model(input_ids=ids[None], use_cache=False)
    clean = activations[written]
    positions, scored = document.positions, document.scored
    x, target = (activations[point][0, positions].float() for point in (read, written))
    losses: dict[Arm, tuple[float, float]] = {}
    for arm, y in _replacements(dictionary, x, target, mean, ks):
        patched = clean.clone()
        patched[0, positions] = y.to(clean.dtype)
        log_p = _logits(model, written, patched, ids[None])[0, scored].float().log_softmax(dim=-1)
        if arm == CLEAN:
            clean_log_p = log_p
        cross_entropy = -log_p.gather(1, ids[scored + 1][:, None]).sum(dtype=torch.float64)
        # A divergence of equal distributions rounds to either side of 0.
        divergence = kl_div(log_p, clean_log_p, reduction="none", log_target=True).sum(dim=1).clamp_min(0)
        losses[arm] = float(cross_entropy), float(divergence.sum(dtype=torch.float64))
    return losses


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """CE recovered, KL recovered, CE and KL against k, for every corpus.

    Raises
    ------
    UnweaveError
        if zero ablation does not hurt the model, or a corpus lacks the site that the dictionary rebuilds.
    """
    language_model = load_language_model(data.model_folder, torch.float32, data.device)
    ks = sparsities(settings.k, dictionary.n_features)
    scores = []
    for name, corpus in data.corpora.items():
        documents = read_documents(name, corpus, language_model.tokenizer, settings.tokens)
        target = target_of(dictionary, name, corpus)
        mean = torch.from_numpy(target.statistics(row_norm=False).mean).float().to(data.device)
        losses = [
            document_losses(language_model.model, data.layer, document, dictionary, mean, ks, cast(Site, data.site))
            for document in documents
        ]
        counts = np.array([len(document.scored) for document in documents], dtype=np.float64)
        scores += _scores(name, losses, counts, ks, seed)
    return scores


def _scores(
    name: str, losses: list[dict[Arm, tuple[float, float]]], counts: Floats, ks: list[int], seed: int
) -> list[Score]:
    # The documents as they are, then resampled: each statistic is computed once for its value and its interval.
    weights = np.vstack([np.ones(len(counts)), resampling_weights(len(counts), seed)])
    sums = {arm: np.array([document[arm] for document in losses]) for arm in losses[0]}
    cross_entropy = {arm: (weights @ pair[:, 0]) / (weights @ counts) for arm, pair in sums.items()}
    divergence = {arm: (weights @ pair[:, 1]) / (weights @ counts) for arm, pair in sums.items()}
    headroom = cross_entropy[ZERO] - cross_entropy[CLEAN]
    if headroom[0] <= 0:
        raise UnweaveError(f"{name}: zero ablation does not raise the model's loss: evaluate on more text")

    def score(metric: str, arm: Arm, values: Floats, unit: str, *, better: bool) -> Score:
        is_baseline = isinstance(arm, str)
        return drawn_score(
            metric,
            values,
            n=int(counts.sum()),
            seed=seed,
            unit=unit,
            better=better,
            dataset=name,
            label=str(arm) if is_baseline else "",
            x_name="" if is_baseline else "k",
            x=None if is_baseline else float(arm),
        )

    scores = [score("cross_entropy", arm, values, "nats", better=False) for arm, values in cross_entropy.items()]
    arms: list[Arm] = [ZERO, MEAN, *ks]
    for arm in arms:
        scores.append(score("kl", arm, divergence[arm], "nats", better=False))
        if arm != ZERO:
            recovered = (cross_entropy[ZERO] - cross_entropy[arm]) / headroom
            scores.append(score("ce_recovered", arm, recovered, "1", better=True))
            scores.append(score("kl_recovered", arm, 1 - divergence[arm] / divergence[ZERO], "1", better=True))
    return scores
