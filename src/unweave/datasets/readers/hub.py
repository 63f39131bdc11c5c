"""Data sets of the Hugging Face hub at a pinned revision. Data files only: no script of a repository is ever run."""

import errno
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub

from unweave.config import HubSource
from unweave.datasets.document import Document
from unweave.errors import UnweaveError
from unweave.files import sha256_of
from unweave.hub_cache import require_as_published


def read(
    source: HubSource, *, text: str = "text", label: str | None = None, max_documents: int | None = None
) -> Iterator[Document]:
    """Rows of the source's splits, in their order, from the hub or from its cache on this machine.

    Parameters
    ----------
    text, label
        columns; a class index becomes the class name where the data set names its classes.
    max_documents
        stop after so many rows, streaming them, so that a huge corpus is not downloaded whole.

    Raises
    ------
    UnweaveError
        if the pinned revision can neither be reached nor is cached, a hash is another, a file was damaged in the cache,
        or a split or column is missing.
    """
    where = f"{source.repo}@{source.revision[:12]}"
    try:
        _check_hashes(source, where)
        for name, split, number, row in islice(_rows(source, where, max_documents is not None), max_documents):
            content = _value(row, text, where)
            yield Document("" if content is None else content, _label(split, row, label, where), f"{name}:{number}")
    except UnweaveError:
        raise
    except Exception as error:
        # The network and format errors of the hub's clients have no common base, and differ between their versions.
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise UnweaveError(f"{where}: {_explained(error)}") from None


def _check_hashes(source: HubSource, where: str) -> None:
    for file, sha256 in source.sha256.items():
        path = huggingface_hub.hf_hub_download(source.repo, file, repo_type="dataset", revision=source.revision)
        if sha256_of(Path(path)) != sha256:
            raise UnweaveError(f"{where}: SHA-256 of {file} is not {sha256[:12]}...: correct `sha256` in the registry")


def _rows(source: HubSource, where: str, streaming: bool) -> Iterator[tuple[str, Any, int, dict[str, Any]]]:
    """Name of the split, the split, number of the row in it, and the row."""
    builder = datasets.load_dataset_builder(source.repo, source.subset, revision=source.revision)
    if builder.hash != source.revision:
        # Without a network the library silently takes the newest revision that it has ever cached.
        raise UnweaveError(f"{where}: the hub cannot be reached and its cache holds another revision: go online once")
    if not streaming:
        _prepare(builder)
    for name in source.splits:
        split = builder.as_streaming_dataset(name) if streaming else builder.as_dataset(name)
        for number, row in enumerate(split, start=1):
            yield name, split, number, row


def _prepare(builder: Any) -> None:
    """Make the library's table anew from checked downloads; without a network it has none, and takes its last one."""
    files = [str(file) for files in (builder.config.data_files or {}).values() for file in files]
    for file in files:
        if file.startswith("hf://"):
            place: Any = huggingface_hub.HfFileSystem().resolve_path(file)
            path = huggingface_hub.hf_hub_download(
                place.repo_id, place.path_in_repo, repo_type=place.repo_type, revision=place.revision
            )
            require_as_published([Path(path)])
    mode = datasets.DownloadMode.REUSE_CACHE_IF_EXISTS if files else datasets.DownloadMode.REUSE_DATASET_IF_EXISTS
    builder.download_and_prepare(download_mode=mode)


def _value(row: dict[str, Any], column: str, where: str) -> Any:
    try:
        return row[column]
    except KeyError:
        raise UnweaveError(f"{where}: has no column {column!r}; its columns are {', '.join(row)}") from None


def _label(split: Any, row: dict[str, Any], column: str | None, where: str) -> str | int | None:
    if column is None:
        return None
    value: str | int | None = _value(row, column, where)
    feature = (split.features or {}).get(column)
    if isinstance(feature, datasets.ClassLabel) and isinstance(value, int) and value >= 0:
        name: str = feature.int2str(value)
        return name
    return value


def _explained(error: Exception) -> str:
    first_line = str(error).strip().partition("\n")[0]
    if isinstance(error, datasets.exceptions.DatasetNotFoundError):
        return f"{first_line} Correct `repo` or `revision` in the registry, or set HF_TOKEN if it is private or gated"
    if isinstance(error, ConnectionError | huggingface_hub.errors.LocalEntryNotFoundError):
        return "the hub cannot be reached and its cache lacks the data: check the network and HF_HUB_OFFLINE, run again"
    if "scripts are no longer supported" in first_line:
        return "needs a script of its repository, which is never run: pin a revision that holds data files"
    return f"cannot be read: {first_line}"
