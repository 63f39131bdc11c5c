"""Reading pickles that hold plain values only.

A pickle can name any function of any module and have it called while it is read. The unpickler here refuses every name,
which leaves lists, tuples, dictionaries, sets, strings, bytes and numbers.
"""

import io
import pickle
from typing import Any, NoReturn

from unweave.errors import UnweaveError


class PlainUnpickler(pickle.Unpickler):
    """An unpickler that refuses every class and function."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse, whatever is asked for."""
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which could run code")


def load_plain_pickle(content: bytes, where: str) -> Any:
    """Value of a pickle made of plain values.

    Raises
    ------
    UnweaveError
        naming `where` if the pickle asks for any class or function, or is damaged.
    """
    try:
        return PlainUnpickler(io.BytesIO(content)).load()
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UnweaveError(f"{where}: refused as a pickle of plain values: {error}") from None
