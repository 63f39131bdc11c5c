"""How fine features of a recursive semi-NMF merge into broader ones (SNMF, Section 5; arXiv 2506.10920).

A tree has a feature of the root level at its top. The children of a feature are those of the level below that its row
of Y_l holds with at least `threshold` of its largest weight, strongest first and at most `most`; a branch ends where
only one would be left. A node reads as the tokens on which its effective activation (Y_l ... Y_1 codes) is largest on
average, as far as they reach `threshold` of the largest.

Rows `node` hold the trees: the label is the path of feature numbers from the root and the words of the node, x the
level, and the value the node's weight in its parent relative to the largest (1 at a root).

Whether parents stand for their children is measured over all pairs of trees, and beside the mean over every feature of
the child's level (`any child`): `child_cosine` of the neurons of child and parent, and `shared_words`, the share of the
child's words that are among the parent's. A parent's activation holds its children's by construction, so some words
are shared whatever the tree means; the control says nothing against that, only against any child serving as well.
Intervals resample pairs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import Corpus, EvaluationData
from unweave.evaluations.resampled_scores import mean_score
from unweave.methods.dictionary import Dictionary
from unweave.methods.snmf_hierarchy import FeatureTree
from unweave.models.language_model import load_tokenizer
from unweave.models.token_strings import token_strings
from unweave.results.scores import Score

Strings = NDArray[np.str_]
FEWEST = 5
"""Tokens that a word needs to stand for a node: the mean of one token is noise."""
ANY = "any child"


class Settings(Strict):
    """Settings of concept trees."""

    root_level: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="level of the roots, 0 being the finest; null for the coarsest"
    )
    threshold: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.15, description="of the largest weight or activation, below which children and words are left out"
    )
    most: Annotated[int, Field(ge=2)] = Field(default=4, description="children of a node at most")
    words: Annotated[int, Field(ge=1)] = Field(default=10, description="of a node at most")
    tokens: Annotated[int, Field(ge=1)] = Field(default=20_000, description="of the corpus, from its beginning")
    shown: Annotated[int, Field(ge=1)] = Field(
        default=10, description="trees that are written out: those of most nodes"
    )


@dataclass(frozen=True)
class Node:
    """A feature in a tree."""

    path: tuple[int, ...]
    """Feature numbers from the root down to this one."""
    level: int
    weight: float
    """In the parent, relative to its largest; 1 at a root."""


def children(weights: Tensor, threshold: float, most: int) -> list[int]:
    """Features of the level below that a row of Y (k,) holds, strongest first; none if only one would be left."""
    largest = float(weights.max())
    if largest <= 0:
        return []
    order = weights.argsort(descending=True, stable=True)[:most]
    kept = [int(i) for i in order if weights[i] >= threshold * largest]
    return kept if len(kept) > 1 else []


def tree(links: Sequence[Tensor], root: int, threshold: float, most: int) -> Iterator[Node]:
    """Nodes below and with feature `root` of the coarsest of the levels that `links` join, parents before children.

    `links` are Y_1, Y_2, ...: Y_l (k_l, k_(l-1)).
    """

    def below(node: Node) -> Iterator[Node]:
        yield node
        if node.level == 0:
            return
        weights = links[node.level - 1][node.path[-1]]
        for child in children(weights, threshold, most):
            yield from below(Node((*node.path, child), node.level - 1, float(weights[child] / weights.max())))

    yield from below(Node((root,), len(links), 1.0))


def word_means(activations: Tensor, strings: Strings) -> tuple[Strings, Tensor]:
    """Words (W,) that stand on enough tokens, and the mean activation (W, k) of every feature on each."""
    words, places, counts = np.unique(np.char.lower(strings), return_inverse=True, return_counts=True)
    sums = torch.zeros(len(words), activations.shape[1], dtype=torch.float64)
    sums.index_add_(0, torch.from_numpy(places), activations.double().cpu())
    kept = (counts >= FEWEST) & (np.char.str_len(words) > 0)
    return words[kept], (sums / torch.from_numpy(counts)[:, None])[torch.from_numpy(kept)]


def words_of(means: Tensor, words: Strings, threshold: float, most: int) -> list[str]:
    """Words of largest mean activation (W,), down to `threshold` of the largest, at most so many."""
    largest = float(means.max())
    order = means.argsort(descending=True, stable=True)[:most]
    return [str(words[int(i)]) for i in order if largest > 0 and means[i] >= threshold * largest]


def _shared(below: list[list[str]], above: list[list[str]]) -> Tensor:
    """Share (k, m) of the words of each feature below that each feature above has; NaN where there are none."""
    return torch.tensor(
        [[np.mean([word in parent for word in child]) if child else np.nan for parent in above] for child in below]
    )


def _levels_of_words(
    dictionary: FeatureTree, corpus: Corpus, data: EvaluationData, levels: int, settings: Settings
) -> list[list[list[str]]]:
    """Words of every feature of every level up to `levels`."""
    n = min(settings.tokens, corpus.activations.n)
    (x,) = corpus.activations.slices([(0, n)])
    codes = dictionary.encode(x.to(data.device))
    strings = token_strings(corpus.tokens.ids[:n], load_tokenizer(data.model_folder))
    found = []
    for level in range(levels + 1):
        words, means = word_means(dictionary.level_codes(codes, level), strings)
        found.append([words_of(of_feature, words, settings.threshold, settings.words) for of_feature in means.T])
    return found


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Trees, and how near children stand to their parents, for every corpus.

    Raises
    ------
    UnweaveError
        if the dictionary has no levels or not that many, or no feature has children.
    """
    if not isinstance(dictionary, FeatureTree):
        raise UnweaveError("only recursive semi-NMF has levels: leave the others out (`methods`)")
    top = dictionary.coarsest if settings.root_level is None else settings.root_level
    if top > dictionary.coarsest:
        raise UnweaveError(f"root_level: {top} is above the coarsest level {dictionary.coarsest}: lower it")
    links = [dictionary.links(level).cpu() for level in range(1, top + 1)]
    atoms = [normalize(dictionary.level_atoms(level).double().cpu()) for level in range(top + 1)]
    trees = [list(tree(links, root, settings.threshold, settings.most)) for root in range(len(atoms[top]))]
    trees.sort(key=len, reverse=True)
    pairs = sorted({(n.level, n.path[-2], n.path[-1]) for nodes in trees for n in nodes if len(n.path) > 1})
    if not pairs:
        raise UnweaveError("no feature has two children: lower `threshold`")
    scores: list[Score] = []
    for name, corpus in data.corpora.items():
        words = _levels_of_words(dictionary, corpus, data, top, settings)
        cosines = [atoms[level] @ atoms[level + 1].T for level in range(top)]
        shared = [_shared(words[level], words[level + 1]) for level in range(top)]
        for metric, by_level in (("child_cosine", cosines), ("shared_words", shared)):
            of_pairs = np.array([float(by_level[level][child, parent]) for level, parent, child in pairs])
            of_any = np.array([float(by_level[level][:, parent].nanmean()) for level, parent, _ in pairs])
            for label, values in (("", of_pairs[np.isfinite(of_pairs)]), (ANY, of_any)):
                scores.append(mean_score(metric, values, seed=seed, better=True, dataset=name, label=label))
        sizes = np.array([len(nodes) for nodes in trees])
        scores.append(mean_score("nodes", sizes, seed=seed, unit="features", dataset=name))
        scores.append(mean_score("roots_with_children", sizes > 1, seed=seed, dataset=name))
        scores += [
            Score(
                metric="node",
                value=node.weight,
                dataset=name,
                n=1,
                unit="1",
                higher_is_better=None,
                x_name="level",
                x=node.level,
                label=f"{'/'.join(map(str, node.path))} {', '.join(words[node.level][node.path[-1]])}",
                seed=seed,
            )
            for nodes in trees[: settings.shown]
            for node in nodes
        ]
    return scores
