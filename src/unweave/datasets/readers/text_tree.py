"""A folder of text files, one document each, labelled by the folder they lie in."""

from collections.abc import Iterator, Sequence

from unweave.datasets.cleaning import Step, cleaned
from unweave.datasets.document import Document, Place, require_folder


def read(place: Place, *, suffix: str = ".txt", clean: Sequence[Step] = ()) -> Iterator[Document]:
    """Files whose names end in `suffix`, in order of their paths; files right in `place` are unlabelled.

    Files are UTF-8, or Windows-1252 where that fails.
    """
    require_folder(place)
    yield from _files(place, "", None, suffix, clean)


def _files(folder: Place, prefix: str, label: str | None, suffix: str, clean: Sequence[Step]) -> Iterator[Document]:
    paths: list[Place] = list(folder.iterdir())
    for path in sorted(paths, key=lambda path: path.name):
        name = prefix + path.name
        if path.is_dir():
            yield from _files(path, f"{name}/", path.name, suffix, clean)
        elif name.endswith(suffix):
            yield Document(cleaned(_decoded(path.read_bytes()), clean), label, name)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")
