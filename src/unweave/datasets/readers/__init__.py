"""Readers: one module each, named by `reader` in config/datasets.yaml; adding a reader is adding a module.

A reader has `read(place, **options) -> Iterator[Document]`, where `place` is the file or folder that the entry's source
names (`hub` takes the source itself). The annotations of `read` are the check of the entry's options.
"""

import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from pydantic import ValidationError, validate_call

from unweave.config import HubSource
from unweave.datasets.document import Document, Place
from unweave.errors import UnweaveError


def read(reader: str, place: Place | HubSource, options: dict[str, Any]) -> Iterator[Document]:
    """Documents of a source in source order.

    Raises
    ------
    UnweaveError
        if there is no such reader, or it does not take this kind of source or these options.
    """
    known = sorted(module.name for module in pkgutil.iter_modules(__path__))
    if reader not in known:
        raise UnweaveError(f"unknown reader {reader!r}; known: {', '.join(known)}")
    function: Callable[..., Iterator[Document]] = import_module(f"{__name__}.{reader}").read
    try:
        return validate_call(config={"arbitrary_types_allowed": True})(function)(place, **options)
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"][0] in (0, "place", "source"):
            raise UnweaveError(f"reader {reader} cannot read this type of source: correct one of them") from None
        key = ".".join(map(str, first["loc"]))
        raise UnweaveError(f"options.{key}: {first['msg'].lower()} (reader {reader})") from None
