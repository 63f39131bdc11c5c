"""What linear probes of pooled activations see after features were ablated (SAEBench's TPP and SCR).

Ablating the features S of a token replaces x by x - s(x) sum_{j in S} z_j a_j where decoding adds up over codes: codes
z, atoms a and the scale s(x) that decoding gives the row back. Pooling and probing are linear too: the logit of probe
w on a pooled text falls by sum_{j in S} zbar_j <w, a_j> with zbar the mean of s z over the tokens: pooled codes are
enough, and no token is decoded. Where decoding does not add up (rows that are renormalised after decoding), every token
is decoded once per ablation.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from unweave.activations.memory import InMemoryActivations
from unweave.config import Strict
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


class AblationSettings(Strict):
    """What evaluations that ablate features under probes have in common."""

    n: list[Annotated[int, Field(ge=1)]] = Field(
        default=[2, 5, 10, 20, 50, 100, 500],
        description="features that are ablated; numbers above that of the features are left out",
    )
    control_draws: Annotated[int, Field(ge=1)] = Field(
        default=5, description="seeded draws of random features that are averaged"
    )
    saebench_compat: bool = Field(default=False, description="do what SAEBench 0.6.0 does, its defects among it")
    context: Annotated[int, Field(ge=1)] = Field(
        default=128, description="tokens that SAEBench pads a text to; only used with `saebench_compat`"
    )

    def numbers(self, features: int) -> list[int]:
        """Ascending numbers to ablate of so many features."""
        return sorted(n for n in set(self.n) if n <= features)

    @property
    def saebench_context(self) -> int | None:
        """What `read_texts` takes."""
        return self.context if self.saebench_compat else None

    def strongest(self, effect: Floats, n: int) -> Integers:
        """Choose the features to ablate by their effect (F,)."""
        return (strongest_saebench if self.saebench_compat else strongest)(effect, n)


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

    def columns(self, units: Integers, *, by_group: bool) -> Integers:
        """Columns of some features, or if not `by_group` of single codes."""
        return self.groups[units].ravel() if by_group else units

    @cached_property
    def firing(self) -> Integers:
        """Columns (k, columns of each) of the features that fire in the training texts: what the control draws from."""
        fires = (self.train.features != 0).any(axis=0)
        firing: Integers = self.groups[fires[self.groups].any(axis=1)]
        return firing

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


def random_ablations(
    texts: AblatableTexts, settings: AblationSettings, probes: int, rng: np.random.Generator
) -> Iterator[dict[int, list[Integers]]]:
    """N to the columns of N features of chance for each of so many probes, `control_draws` times."""
    for _ in range(settings.control_draws):
        orders = [rng.permutation(len(texts.firing)) for _ in range(probes)]
        yield {n: [texts.firing[order[:n]].ravel() for order in orders] for n in settings.numbers(len(texts.groups))}


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
    split = dictionary.traits.signed and saebench_context is None
    adds_up = dictionary.row_scales(torch.zeros(1, corpus.activations.d, device=device)) is not None

    def parts(x: Tensor, rebuilt: Tensor) -> list[Tensor]:
        codes = dictionary.encode(x)
        scales = dictionary.row_scales(x)
        codes = codes if scales is None else codes * scales
        return [split_signs(codes) if split else codes, rebuilt]

    codes, activations = means_of_documents([corpus.activations, target], documents, parts, device)
    labels = np.asarray(corpus.labels)[documents.indices]
    texts = LabelledTexts(codes, activations, labels, documents.lengths)
    found = AblatableTexts(
        dictionary,
        texts.chosen(masks["train"]),
        texts.chosen(masks["test"]),
        split,
        None if adds_up else _by_decoding(dictionary, corpus, masks["test"][documents.of_row], device, split=split),
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


def _by_decoding(
    dictionary: Dictionary, corpus: Corpus, tested: NDArray[np.bool_], device: torch.device, *, split: bool
) -> ByDecoding:
    """Of the `tested` (n,) tokens of the corpus, which stay in memory."""
    activations = InMemoryActivations(corpus.activations.taken(np.flatnonzero(tested)))
    documents = Documents.of(corpus.tokens.docs[tested])

    def logits(ablations: Sequence[Integers], weights: Floats) -> Floats:
        weights_DC = torch.from_numpy(weights).float().to(device)
        (found,) = means_of_documents(
            [activations],
            documents,
            lambda block: [ablated_by_decoding(dictionary, block, ablations, weights_DC, split=split)],
            device,
        )
        return found

    return logits
