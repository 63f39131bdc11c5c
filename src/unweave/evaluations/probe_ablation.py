"""What linear probes of pooled activations see after features were ablated (SAEBench's TPP and SCR).

Ablating the features S of a token replaces x by x - s(x) sum_{j in S} z_j a_j where decoding adds up over codes: codes
z, atoms a and the scale s(x) that decoding gives the row back. Pooling and probing are linear too: the logit of probe
w on a pooled text falls by sum_{j in S} zbar_j <w, a_j> with zbar the mean of s z over the tokens: pooled codes are
enough, and no token is decoded. Where decoding does not add up (rows that are renormalised after decoding), every token
is decoded once per ablation.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.errors import UnweaveError
from unweave.evaluations.balanced_samples import Draws
from unweave.evaluations.documents import Documents
from unweave.evaluations.evaluation import Corpus, target_of
from unweave.evaluations.linear_probes import Probes, train_probe, train_probe_saebench
from unweave.evaluations.pooling import LabelledTexts, means_of_documents, split_masks
from unweave.methods.coefficients import split_signs
from unweave.methods.dictionary import Dictionary

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ByDecoding = Callable[[Sequence[Integers], Floats], Floats]
"""Pooled logits without bias (m, ablations, C) of the test texts, token by token, for the weights (d, C) of probes."""

BATCH_ABLATIONS = 16
"""Ablations that one pass over the tokens decodes: what bounds the logits that are held."""


def mean_difference(codes: Floats, indices: Integers, y: Integers) -> Floats:
    """Mean (F,) of pooled `codes` (m, F) over the `indices` whose target `y` is 1, minus that where it is 0."""
    difference: Floats = codes[indices[y == 1]].mean(axis=0) - codes[indices[y == 0]].mean(axis=0)
    return difference


def strongest(effect: Floats, n: int) -> Integers:
    """Take the features of positive effect (F,), largest first, at most n."""
    order = np.argsort(-effect, kind="stable")[:n]
    return order[effect[order] > 0]


def strongest_saebench(effect: Floats, n: int) -> Integers:
    """Take the n of largest effect, or as many as have one; those without outrank negative ones (SAEBench 0.6.0)."""
    tensor = torch.from_numpy(effect).float()
    chosen: Integers = tensor.topk(min(n, int((tensor != 0).sum()))).indices.numpy()
    return chosen


def without_columns(codes: Tensor, columns: Tensor, *, split: bool) -> Tensor:
    """Codes (n, F) with `columns` set to zero; if `split`, columns are those of [relu(z), relu(-z)]."""
    if not split:
        return codes.index_fill(1, columns, 0)
    positive, negative = (torch.zeros(codes.shape[1], dtype=torch.bool, device=codes.device) for _ in range(2))
    positive[columns[columns < len(positive)]] = True
    negative[columns[columns >= len(positive)] - len(positive)] = True
    return codes.masked_fill((positive & (codes > 0)) | (negative & (codes < 0)), 0)


def ablated_by_decoding(
    dictionary: Dictionary, x: Tensor, ablated: Sequence[Integers], weights: Tensor, *, split: bool
) -> Tensor:
    """Logits without bias (n, len(ablated), C) of tokens x (n, d) without the columns of each ablation.

    `weights` (d, C) are those of the probes; the columns are those of the codes, or if `split` of the codes split by
    sign. The error of the reconstruction is kept: x + decode(z without S) - decode(z).
    """
    codes = dictionary.encode(x)
    whole = dictionary.decode(codes, like=x)
    logits = torch.empty(len(x), len(ablated), weights.shape[1], dtype=x.dtype, device=x.device)
    for index, columns in enumerate(ablated):
        edited = without_columns(codes, torch.from_numpy(columns).to(x.device), split=split)
        logits[:, index] = (x + dictionary.decode(edited, like=x) - whole) @ weights
    return logits


@dataclass(frozen=True)
class AblatableTexts:
    """Labelled texts of one corpus, whose probes can be asked what they see without some features."""

    dictionary: Dictionary
    train: LabelledTexts
    """Features are pooled codes on the scale of the activations, split by sign if `split`."""
    test: LabelledTexts
    split: bool
    by_decoding: ByDecoding | None
    """None where pooled codes are enough."""
    leak: Floats | None = None
    """(m, columns) what ablation takes from the test texts too: codes of their padding."""

    @cached_property
    def atoms(self) -> Floats:
        """Writing direction (columns, d') of each column."""
        atoms: Floats = self.dictionary.atoms.double().cpu().numpy()
        return np.concatenate([atoms, -atoms]) if self.split else atoms

    @cached_property
    def groups(self) -> Integers:
        """Columns (features, columns of each) of every feature: one, or those of a group, of both signs."""
        size = self.dictionary.traits.group_size
        columns = np.arange(len(self.atoms))
        if size == 1:
            return columns[:, None]
        return columns.reshape(1 + self.split, -1, size).swapaxes(0, 1).reshape(-1, size * (1 + self.split))

    def train_probes(self, draws: Draws, *, saebench: bool) -> Probes:
        """One probe per class, as SAEBench trains it or to its minimum."""
        probes = []
        for target in np.unique(self.train.labels).tolist():
            chosen, y = draws.train(self.train.labels, target)
            chosen_test, y_test = draws.test(self.test.labels, target)
            x, x_test = self.train.activations[chosen], self.test.activations[chosen_test]
            probes.append(train_probe_saebench(x, y, x_test, y_test) if saebench else train_probe(x, y))
        return Probes.stacked(probes)

    def ablated(self, clean: Floats, probes: Probes, ablations: Sequence[Integers]) -> Iterable[Floats]:
        """Logits (m, C) of the test texts without the columns of each ablation; `clean` (m, C) are those with all."""
        if self.by_decoding is None:
            codes = self.test.features if self.leak is None else self.test.features + self.leak
            gains = self.atoms @ probes.weights.T
            for columns in ablations:
                yield clean - codes[:, columns] @ gains[columns]
            return
        for start in range(0, len(ablations), BATCH_ABLATIONS):
            logits = self.by_decoding(ablations[start : start + BATCH_ABLATIONS], probes.weights.T)
            yield from (logits + probes.biases).swapaxes(0, 1)


def read_texts(
    name: str, corpus: Corpus, dictionary: Dictionary, device: torch.device, saebench_context: int | None = None
) -> AblatableTexts:
    """Pool the codes of labelled texts and the activations that decoding rebuilds.

    With `saebench_context` codes are not split by sign and texts are padded with zeros to that many tokens, whose codes
    are ablated too.

    Raises
    ------
    UnweaveError
        unless both splits have labelled texts of the same two or more classes; if the corpus lacks the site that the
        dictionary rebuilds; with `saebench_context`, if a text is longer or decoding does not add up over codes.
    """
    documents = Documents.of(corpus.tokens.docs)
    masks = split_masks(name, corpus, documents)
    target = target_of(dictionary, name, corpus)
    compat = saebench_context is not None
    split = dictionary.traits.signed and not compat
    adds_up = dictionary.row_scales(torch.zeros(1, corpus.activations.d, device=device)) is not None

    def parts(x: Tensor, rebuilt: Tensor) -> list[Tensor]:
        codes = dictionary.encode(x)
        scales = dictionary.row_scales(x)
        codes = codes if scales is None else codes * scales
        return [split_signs(codes) if split else codes, rebuilt]

    def by_decoding(ablations: Sequence[Integers], weights: Floats) -> Floats:
        weights_DC = torch.from_numpy(weights).float().to(device)
        (logits,) = means_of_documents(
            [corpus.activations],
            documents,
            lambda x: [ablated_by_decoding(dictionary, x, ablations, weights_DC, split=split)],
            device,
        )
        return logits[masks["test"]]

    codes, activations = means_of_documents([corpus.activations, target], documents, parts, device)
    labels = np.asarray(corpus.labels)[documents.indices]
    texts = LabelledTexts(codes, activations, labels, documents.lengths)
    found = AblatableTexts(
        dictionary,
        texts.chosen(masks["train"]),
        texts.chosen(masks["test"]),
        split,
        None if adds_up else by_decoding,
    )
    if saebench_context is None:
        return found
    if not adds_up:
        raise UnweaveError(f"{name}: SAEBench has no decoding that scales rows back: leave `saebench_compat` off")
    lengths = found.test.lengths
    if lengths.max() > saebench_context:
        raise UnweaveError(
            f"{name}: a text of {lengths.max():.0f} tokens does not fit into {saebench_context}: raise `context`"
        )
    padding, _ = parts(torch.zeros(1, corpus.activations.d, device=device), torch.zeros(1, 1))
    return replace(found, leak=((saebench_context - lengths) / lengths)[:, None] * padding.double().cpu().numpy())
