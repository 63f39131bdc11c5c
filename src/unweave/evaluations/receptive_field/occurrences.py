"""Tokens on which a feature is strongest, with the text before them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import Corpus

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Occurrence:
    """A token at which a feature is strong."""

    feature: int
    ids: Tensor
    """(T,) tokens of the document up to it, the first ones included that were not harvested"""


def strongest_rows(strengths: Tensor, ids: Integers, count: int) -> list[Integers]:
    """Rows of the `count` largest strengths (n, F) of every feature, on distinct tokens `ids` (n,), largest first.

    Rows whose strength is not positive are left out.
    """
    found = []
    order = strengths.argsort(dim=0, descending=True, stable=True).cpu().numpy()
    values = strengths.cpu().numpy()
    for feature in range(values.shape[1]):
        rows: list[int] = []
        seen: set[int] = set()
        for row in order[:, feature].tolist():
            if values[row, feature] <= 0 or len(rows) == count:
                break
            if int(ids[row]) not in seen:
                seen.add(int(ids[row]))
                rows.append(row)
        found.append(np.array(rows, dtype=np.int64))
    return found


def occurrence(
    name: str, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, feature: int, row: int, longest: int
) -> Occurrence:
    """Read the text before row `row` of a corpus: its first token and the last ones, `longest` at most in all.

    Raises
    ------
    UnweaveError
        if the text's tokens are not those of the corpus.
    """
    rows = corpus.tokens
    position = int(rows.positions[row])
    ids = torch.tensor(tokenizer(corpus.texts[int(rows.docs[row])])["input_ids"][: position + 1])
    if len(ids) <= position or int(ids[position]) != int(rows.ids[row]):
        raise UnweaveError(
            f"{name}: document {int(rows.docs[row])} is not tokenised as it was harvested: harvest {name} again"
        )
    return Occurrence(feature, torch.cat([ids[:1], ids[1:][1 - longest :]]))
