"""Each token with what surrounds it, read from the characters of its document and not from a tokenizer's marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import Corpus

AFTER = 40

Span = tuple[int, int]


@dataclass(frozen=True)
class TokenizedDocument:
    """A document as the model read it."""

    text: str
    spans: Sequence[Span]
    """(T,) characters of each token, without the white space before it; empty for tokens that stand for no text."""
    label: str = ""
    """Class name; empty where unlabelled."""

    @cached_property
    def tokens(self) -> list[str]:
        """(T,) text of each token."""
        return [self.text[start:end] for start, end in self.spans]


@dataclass(frozen=True)
class Occurrence:
    """The token at one position of a document."""

    document: TokenizedDocument
    position: int

    @property
    def token(self) -> str:
        """Its text, without white space before it."""
        return self.document.tokens[self.position]

    @property
    def before(self) -> str:
        """All text before it."""
        return self.document.text[: self.document.spans[self.position][0]]

    @property
    def after(self) -> str:
        """The next AFTER characters."""
        end = self.document.spans[self.position][1]
        return self.document.text[end : end + AFTER]

    def neighbour(self, offset: int) -> str:
        """Text of the token `offset` positions further on; empty beyond what the model read."""
        place = self.position + offset
        return self.document.tokens[place] if 0 <= place < len(self.document.tokens) else ""


def without_leading_space(text: str, span: Span) -> Span:
    """Characters of a token from its first that is not white space; a token of nothing else stays as it is."""
    start, end = span
    stripped = text[start:end].lstrip()
    return (end - len(stripped), end) if stripped else span


def occurrences(name: str, corpus: Corpus, tokenizer: PreTrainedTokenizerBase) -> list[Occurrence]:
    """Occurrence of each row (n,) of corpus `name`.

    Raises
    ------
    UnweaveError
        if a text's tokens are not those of its rows.
    """
    rows, labels = corpus.tokens, corpus.labels
    documents: dict[int, TokenizedDocument] = {}
    for index in np.unique(rows.docs).tolist():
        of_document = rows.docs == index
        positions = rows.positions[of_document]
        text = corpus.texts[index]
        read = tokenizer(text, return_offsets_mapping=True)
        ids = np.array(read["input_ids"][: int(positions.max()) + 1])
        if len(ids) <= positions.max() or (ids[positions] != rows.ids[of_document]).any():
            raise UnweaveError(f"{name}: document {index} is not tokenised as it was harvested: harvest {name} again")
        label = int(labels[index]) if len(labels) else -1
        documents[index] = TokenizedDocument(
            text,
            [without_leading_space(text, span) for span in read["offset_mapping"][: len(ids)]],
            corpus.label_names[label] if label >= 0 else "",
        )
    return [
        Occurrence(documents[doc], position)
        for doc, position in zip(rows.docs.tolist(), rows.positions.tolist(), strict=True)
    ]


def document_halves(docs: NDArray[np.integer], seed: int) -> NDArray[np.bool_]:
    """Mask (n,) of the rows of a random half of the documents, from the document (n,) of each row.

    Raises
    ------
    UnweaveError
        with fewer than two documents.
    """
    distinct, of_row = np.unique(docs, return_inverse=True)
    if len(distinct) < 2:
        raise UnweaveError("explanations are tested on other documents than they were found on: evaluate on more text")
    first = np.zeros(len(distinct), dtype=bool)
    first[np.random.default_rng([seed, 1]).permutation(len(distinct))[: len(distinct) // 2]] = True
    half: NDArray[np.bool_] = first[of_row]
    return half
