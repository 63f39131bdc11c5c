"""Cells of the tables that commands print."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text


def cell(value: object) -> "Text":
    """Text of a result as it stands: never read as markup, and control characters never reach the terminal."""
    from rich.text import Text

    return Text("".join(c if c.isprintable() else " " for c in str(value)))
