"""Repairs of text that a source has damaged in the same way throughout. Pure functions on strings."""

import html
import re
from collections.abc import Callable, Iterable
from typing import Literal

Step = Literal["encoding", "markup", "punctuation", "spaces"]


def _windows_1252() -> dict[int, str]:
    """Character of each byte from 0x80; the five bytes that Windows-1252 leaves out stand for themselves."""
    characters = {byte: bytes([byte]).decode("cp1252", errors="replace") for byte in range(0x80, 0x100)}
    return {byte: chr(byte) if character == "\ufffd" else character for byte, character in characters.items()}


_CHARACTER = _windows_1252()
_BYTE = {character: byte for byte, character in _CHARACTER.items()} | {chr(byte): byte for byte in range(0x80, 0xA0)}
_FOLLOWING = "[" + re.escape("".join(character for character, byte in _BYTE.items() if byte < 0xC0)) + "]"
# Only what stands for western letters and typographic marks: `ß“`, which is sound, would be an N'Ko letter.
_TWICE_ENCODED = re.compile(f"[ÂÃÅ]{_FOLLOWING}|â{_FOLLOWING}{{2}}")
_CONTROL_PICTURES = {byte: _CHARACTER[byte] if _CHARACTER[byte] != chr(byte) else "" for byte in range(0x80, 0xA0)}
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\xad\u200b\ufeff]")

_BARE_ENTITY = re.compile(r" (#\d{1,5}|#x[0-9a-fA-F]{1,4}|quot|amp|lt|gt|nbsp|apos|mdash|ndash);")
_TAG = r"</?[A-Za-z][^<>]*>"
_TAG_OR_COMMENT = re.compile(
    # A comment that its line does not close is text. The group takes the rest of the line at once, so that no further
    # opening in it is tried in vain, up to a tag that ends on another line.
    _TAG + r"|<!--.*?-->|(<!--.*?(?=</?[A-Za-z][^<>\n]*$)|<!--.*)",
    re.MULTILINE,
)

_SPACE_BEFORE = re.compile(r"(?<=\S)[ \t]+(?=[,;:!?)\]…]|\.(?!\w))")
_SPACE_AFTER = re.compile(r"(?<=[(\[])[ \t]+")
_DOUBLED_END = re.compile(r"(?<!\.)([.!?])\.(?![.\w])")
_LONE_UNDERSCORE = re.compile(r"(?<=\s)_(?=[\s,;:.])")


def _decoded(match: re.Match[str]) -> str:
    try:
        return bytes(_BYTE[character] for character in match.group()).decode("utf-8")
    except UnicodeDecodeError:
        return match.group()


def repair_encoding(text: str) -> str:
    """Undo UTF-8 that was read as Windows-1252 (`Ã©` becomes `é`) and Windows-1252 that was read as Latin-1.

    Invisible characters (controls other than tab and line ends, soft hyphens, zero-width spaces) go.
    """
    return _INVISIBLE.sub("", _TWICE_ENCODED.sub(_decoded, text).translate(_CONTROL_PICTURES))


def remove_markup(text: str) -> str:
    r"""Undo escaped HTML, drop tags, and undo backslash escapes (`\$` becomes `$`, any other a space).

    AG News also holds entities whose ampersand became a space (`NASA #39;s`); they are undone without the space.
    """
    unescaped = html.unescape(html.unescape(_BARE_ENTITY.sub(r"&\1;", html.unescape(text))))
    untagged = _TAG_OR_COMMENT.sub(lambda match: re.sub(_TAG, "", match[1] or ""), unescaped)
    return untagged.replace("\\$", "$").replace("\\", " ")


def repair_punctuation(text: str) -> str:
    """Undo what tokenising and old typesetting did to punctuation, as in the German parliament's transcripts.

    Spaces before closing and after opening marks go, an end mark doubled by a full stop becomes single, and an
    underscore that stands alone becomes a dash.
    """
    attached = _SPACE_AFTER.sub("", _SPACE_BEFORE.sub("", _LONE_UNDERSCORE.sub("–", text)))
    return _DOUBLED_END.sub(r"\1", attached)


def collapse_spaces(text: str) -> str:
    """Turn every run of white space, line ends included, into one space."""
    return " ".join(text.split())


_STEPS: dict[Step, Callable[[str], str]] = {
    "encoding": repair_encoding,
    "markup": remove_markup,
    "punctuation": repair_punctuation,
    "spaces": collapse_spaces,
}


def cleaned(text: str, steps: Iterable[Step]) -> str:
    """Apply the named steps in order."""
    for step in steps:
        text = _STEPS[step](text)
    return text


_SENTENCE_END = re.compile(
    r"(?<![ .][A-Z])(?<!\d)(?<!\bhon)(?<!\bMr)(?<!\bMrs)(?<!\bDr)(?<!\bSt)(?<!\bSr)(?<!\bSra)(?<!\bArt)(?<!\bNr)"
    r"""([.!?…][)\]"'”“»]*)\s+(?=[("'„“«¿¡–—-]*\s?[^\W\d_a-zß-öø-ÿ])"""
)


def split_sentences(text: str) -> list[str]:
    """Sentences of running text in a European language: an end mark, white space, then a capital letter.

    Numbers, initials and a few common abbreviations before a full stop do not end a sentence.
    """
    return [sentence for sentence in _SENTENCE_END.sub("\\1\n", text).split("\n") if sentence.strip()]
