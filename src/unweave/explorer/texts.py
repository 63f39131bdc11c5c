"""The texts that are shown: their tokens as they read, and where the rows of activations stand in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from unweave.activations.store import StoredTokens
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import Corpus

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Texts:
    """T tokens of D texts laid end to end, on n of which there are activations."""

    pieces: list[str]
    """(T,) characters of each token."""
    starts: Integers
    """(D + 1,) place of the first token of each text, and T."""
    places: Integers
    """(n,) place of each row."""
    first_texts: dict[str, int]
    """By corpus: the number of its first text."""

    @property
    def rows(self) -> Integers:
        """(T,) row of each place; -1 where there is none."""
        rows = np.full(len(self.pieces), -1, dtype=np.int64)
        rows[self.places] = np.arange(len(self.places))
        return rows

    def text_at(self, place: int) -> int:
        """Text that a place is in."""
        return int(np.searchsorted(self.starts, place, side="right")) - 1

    def content(self) -> dict[str, Any]:
        """Corpora and tokens for a data file: every text as numbers into the list of distinct tokens."""
        distinct = sorted(set(self.pieces))
        number = {piece: i for i, piece in enumerate(distinct)}
        bounds = zip(self.starts[:-1], self.starts[1:], strict=True)
        return {
            "corpora": [{"name": name, "first": first} for name, first in self.first_texts.items()],
            "pieces": distinct,
            "texts": [[number[piece] for piece in self.pieces[start:stop]] for start, stop in bounds],
        }


def pieces_of(text: str, spans: Sequence[tuple[int, int]], names: Sequence[str]) -> list[str]:
    """Characters (T,) of each token, from the spans (T,) of a tokenizer: together, the text up to the last token.

    White space that the tokenizer passes over goes with the token after it. A token without characters of its own, such
    as the second byte of an emoji or a mark of the beginning, is called by its name (T,).
    """
    pieces, reached = [], 0
    for (_, stop), name in zip(spans, names, strict=True):
        pieces.append(text[reached:stop] if stop > reached else name)
        reached = max(reached, stop)
    return pieces


def _tokenised(name: str, corpus: Corpus, rows: StoredTokens, tokenizer: PreTrainedTokenizerBase) -> list[list[str]]:
    """Pieces of each document that `rows` stand in, up to the last of them."""
    found = []
    for index in np.unique(rows.docs).tolist():
        of_document = rows.docs == index
        positions = rows.positions[of_document]
        length = int(positions.max()) + 1
        read = tokenizer(corpus.texts[index], return_offsets_mapping=True)
        ids = np.array(read["input_ids"][:length])
        if len(ids) < length or (ids[positions] != rows.ids[of_document]).any():
            raise UnweaveError(f"{name}: document {index} is not tokenised as it was harvested: harvest {name} again")
        names = [str(tokenizer.convert_ids_to_tokens(int(i))) for i in ids]
        found.append(pieces_of(corpus.texts[index], read["offset_mapping"][:length], names))
    return found


def read_texts(corpora: Mapping[str, Corpus], most: int, tokenizer: PreTrainedTokenizerBase) -> Texts:
    """Texts of the first rows, at most `most`, of every corpus.

    Raises
    ------
    UnweaveError
        if a text's tokens are not those of its rows.
    """
    texts: list[list[str]] = []
    first_texts: dict[str, int] = {}
    numbers, positions = [], []
    for name, corpus in corpora.items():
        rows = StoredTokens(*(part[:most] for part in (corpus.tokens.ids, corpus.tokens.docs, corpus.tokens.positions)))
        first_texts[name] = len(texts)
        numbers.append(len(texts) + np.unique(rows.docs, return_inverse=True)[1])
        positions.append(rows.positions)
        texts += _tokenised(name, corpus, rows, tokenizer)
    starts = np.concatenate([[0], np.cumsum([len(text) for text in texts])])
    places = starts[np.concatenate(numbers)] + np.concatenate(positions)
    return Texts([piece for text in texts for piece in text], starts, places.astype(np.int64), first_texts)
