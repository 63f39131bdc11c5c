"""Files in the cache of the Hugging Face hub, which its client hands out without looking at their content again."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from unweave.errors import UnweaveError
from unweave.files import sha256_of


def require_as_published(files: Iterable[Path]) -> None:
    """Compare cached files with the hashes that the hub stated when they were downloaded.

    A file of a snapshot is a link to one that the hub's client named by its hash: SHA-256 for a large file, git's SHA-1
    for another. Where a file system has no links the hashes are not kept, and nothing is compared.

    Raises
    ------
    UnweaveError
        naming the file in the cache.
    """
    for file in files:
        kept = file.resolve()
        if kept.parent.name == "blobs" and _hash(kept) != kept.name:
            raise UnweaveError(
                f"{kept}: is not what the hub published (its name is not its hash): delete it, run again"
            )


def _hash(kept: Path) -> str:
    """Hash of the kind that the name is one of; the name itself if it is none."""
    if re.fullmatch(r"[0-9a-f]{64}", kept.name):
        return sha256_of(kept)
    if re.fullmatch(r"[0-9a-f]{40}", kept.name):
        content = kept.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return kept.name
