"""The levels of a recursive semi-NMF as trees whose leaves are its features."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unweave.evaluations.concept_trees import Node, Settings, tree, word_means, words_of
from unweave.explorer.data_files import rounded
from unweave.methods.snmf_hierarchy import FeatureTree


def nested(nodes: list[Node], words: list[list[list[str]]]) -> dict[str, Any]:
    """One tree as objects within objects, from its nodes, parents first, and the words of every feature by level."""
    made: dict[tuple[int, ...], dict[str, Any]] = {}
    for node in nodes:
        feature = node.path[-1]
        made[node.path] = {
            "level": node.level,
            "id": feature,
            "weight": rounded(node.weight),
            "words": words[node.level][feature],
            "children": [],
        }
        if len(node.path) > 1:
            made[node.path[:-1]]["children"].append(made[node.path])
    return made[nodes[0].path]


def trees(dictionary: FeatureTree, codes: Tensor, strings: NDArray[np.str_]) -> list[dict[str, Any]]:
    """Trees below every feature of the coarsest level, those of most nodes first.

    `codes` (n, F) are those of the finest features on tokens that read `strings` (n,). Thresholds are those of the
    evaluation `concept_trees`.
    """
    settings = Settings()
    words = []
    for level in range(dictionary.coarsest + 1):
        known, means = word_means(dictionary.level_codes(codes, level), strings)
        words.append([words_of(of_feature, known, settings.threshold, settings.words) for of_feature in means.T])
    links = [dictionary.links(level).cpu() for level in range(1, dictionary.coarsest + 1)]
    found = [
        list(tree(links, root, settings.threshold, settings.most)) for root in range(len(words[dictionary.coarsest]))
    ]
    return [nested(nodes, words) for nodes in sorted(found, key=len, reverse=True)]
