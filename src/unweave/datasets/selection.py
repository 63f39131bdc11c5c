"""Which documents of a source are kept: neither empty, short, repeated nor labelled in two ways."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from unweave.datasets.document import Document
from unweave.errors import UnweaveError

UNLABELLED = -1


@dataclass
class Dropped:
    """Numbers of documents left out, by the first reason that applies."""

    empty: int = 0
    short: int = 0
    duplicate: int = 0
    contradictory: int = 0
    """Every occurrence of a text that occurs under two labels."""

    def as_dict(self) -> dict[str, int]:
        """By reason."""
        return asdict(self)


@dataclass(frozen=True)
class Selection:
    """The n documents that are kept, in source order."""

    texts: list[str]
    labels: NDArray[np.int64]
    """(n,) class indices; UNLABELLED where there are no classes."""
    source_ids: list[str]
    groups: NDArray[np.int64]
    """(n,) number of the source document that each text is, or is a piece of."""
    dropped: Dropped


def normalised(text: str) -> str:
    """Reduce a text to what is equal in texts that differ in white space and case only."""
    return " ".join(text.split()).casefold()


def select(documents: Iterable[Document], labels: Sequence[str], min_characters: int) -> Selection:
    """Keep the first of equal documents, where texts are equal if they are so when normalised.

    A text that occurs under two labels is dropped wherever it occurs. Outer white space is removed from all texts.

    Raises
    ------
    UnweaveError
        if `labels` repeats itself, a document is no text or its label is not listed, or nothing is kept.
    """
    if len(set(labels)) < len(labels):
        raise UnweaveError("labels: a class is listed twice")
    texts = _FirstTexts()
    label_index = {name: index for index, name in enumerate(labels)}
    dropped = Dropped()
    for document in documents:
        if not isinstance(document.text, str):
            kind = type(document.text).__name__
            raise UnweaveError(f"document {document.source_id} is of type {kind}, not text: correct `options.text`")
        text = document.text.strip()
        if not text:
            dropped.empty += 1
        elif len(text) < min_characters:
            dropped.short += 1
        else:
            texts.add(text, _label(document, label_index), document)
    keep = [row for row in range(len(texts.texts)) if row not in texts.contradictory]
    dropped.contradictory = sum(texts.occurrences[row] for row in texts.contradictory)
    dropped.duplicate = sum(texts.occurrences) - len(keep) - dropped.contradictory
    if not keep:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.as_dict().items())
        raise UnweaveError(f"no document is left (dropped: {reasons}): correct `options` or `min_characters`")
    return Selection(
        texts=[texts.texts[row] for row in keep],
        labels=np.array([texts.labels[row] for row in keep], dtype=np.int64),
        source_ids=[texts.source_ids[row] for row in keep],
        groups=np.array([texts.groups[row] for row in keep], dtype=np.int64),
        dropped=dropped,
    )


@dataclass
class _FirstTexts:
    """The first occurrence of each distinct text."""

    texts: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    source_ids: list[str] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    occurrences: list[int] = field(default_factory=list)
    contradictory: set[int] = field(default_factory=set)
    _row_of: dict[bytes, int] = field(default_factory=dict)
    _group_of: dict[str, int] = field(default_factory=dict)

    def add(self, text: str, label: int, document: Document) -> None:
        """Count one more occurrence of `text`."""
        try:
            key = blake2b(normalised(text).encode("utf-8"), digest_size=16).digest()
        except UnicodeEncodeError:
            raise UnweaveError(f"document {document.source_id} is not valid Unicode: mend the source") from None
        row = self._row_of.setdefault(key, len(self.texts))
        if row < len(self.texts):
            self.occurrences[row] += 1
            if self.labels[row] != label:
                self.contradictory.add(row)
            return
        self.texts.append(text)
        self.labels.append(label)
        self.source_ids.append(document.source_id)
        self.occurrences.append(1)
        group = document.source_id if document.group is None else document.group
        self.groups.append(self._group_of.setdefault(group, len(self._group_of)))


def _label(document: Document, label_index: dict[str, int]) -> int:
    """Class index of a document; everything is unlabelled where the registry names no classes."""
    label = document.label
    if not label_index:
        return UNLABELLED
    if label is None:
        raise UnweaveError(f"labels: document {document.source_id} has none: remove `labels`, or set the label column")
    if isinstance(label, str) and label in label_index:
        return label_index[label]
    if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(label_index):
        return label
    known = ", ".join(label_index)
    raise UnweaveError(f"labels: {label!r} of document {document.source_id} is missing; listed: {known}")
