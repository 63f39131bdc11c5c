"""From a registry entry to an Arrow folder that `datasets.load_from_disk(folder)` loads offline.

The columns, one row for each document in source order:

- `text` (string): the document, cleaned as the entry says, without outer white space;
- `label` (int64): index into the manifest's `labels`, or -1 where there are none;
- `split` (string): `train` or `test`;
- `source_id` (string): the document's row number, path or own id in the source.

`manifest.json` beside them says where the text comes from, under which licence, and what was dropped.
"""

import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features, Value
from numpy.typing import NDArray

from unweave.config import DatasetEntry, HubSource, LocalSource, PypiSource, Source
from unweave.datasets import readers
from unweave.datasets.document import Place, require_file
from unweave.datasets.selection import Selection, select
from unweave.datasets.splitting import held_out
from unweave.errors import UnweaveError
from unweave.files import MANIFEST, require_free_space, sha256_of, staged_folder, write_json

FEATURES = Features(
    {"text": Value("string"), "label": Value("int64"), "split": Value("string"), "source_id": Value("string")}
)
PACKAGES = ("datasets", "numpy", "pyarrow")


def prepare_dataset(name: str, entry: DatasetEntry, download: Path | None, folder: Path) -> None:
    """Make `folder` hold the documents of one data set and their manifest.

    `name` and `entry` are from the registry; `download` is the wheel of a source on the Python package index. Two runs
    give the same bytes. The folder appears complete or not at all.

    Raises
    ------
    UnweaveError
        if the source cannot be had or is not the pinned one, its reader or options are wrong, a label is not listed,
        too little is left of the source, or the disk is too small.
    """
    try:
        with _opened(entry.source, download) as place:
            documents = readers.read(entry.reader, place, entry.options)
            selection = select(documents, entry.labels, entry.min_characters)
        test = held_out(selection.labels, selection.groups, entry.labels, entry.split)
    except UnweaveError as error:
        raise UnweaveError(f"datasets.yaml: {name}: {error}") from None
    table = pa.table(
        {
            "text": selection.texts,
            "label": selection.labels,
            "split": np.where(test, "test", "train").tolist(),
            "source_id": selection.source_ids,
        },
        schema=FEATURES.arrow_schema,
    )
    content = _content_sha256(table)
    require_free_space(folder.parent, table.nbytes, f"preparing {name}")
    with staged_folder(folder) as staged:
        # A fingerprint of the content: the library's own would differ between runs.
        Dataset(table, info=DatasetInfo(features=FEATURES), fingerprint=content[:16]).save_to_disk(staged)
        write_json(staged / MANIFEST, _manifest(name, entry, selection, test, content))


@contextmanager
def _opened(source: Source, download: Path | None) -> Iterator[Place | HubSource]:
    """Where the reader reads, after the pinned hashes are checked."""
    if isinstance(source, HubSource):
        yield source
    elif isinstance(source, LocalSource):
        if not source.place.exists():
            raise UnweaveError(f"{source.place}: no such file or folder: correct `path` in the registry")
        yield source.place
    else:
        yield from _opened_wheel(source, download)


def _opened_wheel(source: PypiSource, download: Path | None) -> Iterator[Place]:
    if download is None:
        raise UnweaveError(f"{source.wheel}: the downloaded wheel is needed")
    require_file(download)
    if sha256_of(download) != source.sha256:
        raise UnweaveError(f"{download}: SHA-256 is not {source.sha256[:12]}...: delete it, or correct the registry")
    with zipfile.ZipFile(download) as wheel:
        place = zipfile.Path(wheel) / source.file if source.file else zipfile.Path(wheel)
        if source.file_sha256 is not None:
            require_file(place)
            if hashlib.sha256(place.read_bytes()).hexdigest() != source.file_sha256:
                raise UnweaveError(f"{place}: SHA-256 is not {source.file_sha256[:12]}...: correct `file_sha256`")
        yield place


def _content_sha256(table: pa.Table) -> str:
    digest = hashlib.sha256()
    for batch in table.to_batches(max_chunksize=1000):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            digest.update(repr(row).encode("utf-8"))
    return digest.hexdigest()


def _source_sha256(source: Source) -> str | None:
    """Of the wheel, or of the local files. A revision of the hub is its own hash."""
    if isinstance(source, PypiSource):
        return source.sha256
    if isinstance(source, HubSource):
        return None
    place = source.place
    if place.is_file():
        return sha256_of(place)
    files = sorted(path for path in place.rglob("*") if path.is_file())
    lines = "".join(f"{sha256_of(path)}  {path.relative_to(place).as_posix()}\n" for path in files)
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def _manifest(
    name: str, entry: DatasetEntry, selection: Selection, test: NDArray[np.bool_], content: str
) -> dict[str, Any]:
    return {
        "name": name,
        "title": entry.title,
        "licence": entry.licence,
        "notes": entry.notes,
        "source": entry.source.model_dump(),
        "source_sha256": _source_sha256(entry.source),
        "content_sha256": content,
        "reader": entry.reader,
        "options": entry.options,
        "min_characters": entry.min_characters,
        "labels": entry.labels,
        "split": entry.split.model_dump(),
        "documents": {
            "train": _counts(selection.labels[~test], entry.labels),
            "test": _counts(selection.labels[test], entry.labels),
        },
        "characters": sum(map(len, selection.texts)),
        "dropped": selection.dropped.as_dict(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def _counts(labels: NDArray[np.int64], names: Sequence[str]) -> dict[str, int]:
    """Documents of each class; `unlabelled` where there are none."""
    counts = Counter(labels.tolist())
    return {name: counts[index] for index, name in enumerate(names)} or {"unlabelled": len(labels)}
