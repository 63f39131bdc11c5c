"""Data as scripts: a page that is opened from disk may load scripts but may not fetch anything.

Each file calls `unweave.receive(key, content)` with JSON, where the key is the file's path in the site.
"""

import json
from pathlib import Path
from typing import Any

DIGITS = 3
"""Significant digits of a number that is only looked at."""


def script(key: str, content: Any) -> str:
    """Text of a data file.

    JSON is also JavaScript once the two line separators that end a JavaScript line are escaped; `<` is escaped too, so
    that the text could not end a script element wherever somebody pastes it.
    """
    text = json.dumps([key, content], ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"unweave.receive(...{text});\n"


def write(path: Path, key: str, content: Any) -> None:
    """Write a data file, whose place in the finished site is `key`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script(key, content), encoding="utf-8")


def rounded(value: float) -> float:
    """To DIGITS significant digits."""
    return float(f"{value:.{DIGITS}g}")
