"""Ways in which the bytes of a file go wrong."""

import random
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[bytes, random.Random], bytes]


def cut_short(content: bytes, draw: random.Random) -> bytes:
    """Lose the end."""
    return content[: draw.randrange(len(content))]


def emptied(content: bytes, draw: random.Random) -> bytes:
    """Lose everything."""
    return b""


def bit_flipped(content: bytes, draw: random.Random) -> bytes:
    """Change one bit."""
    place = draw.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]


def block_zeroed(content: bytes, draw: random.Random) -> bytes:
    """Have zeros in the place of up to 512 bytes."""
    place = draw.randrange(len(content))
    size = min(512, len(content) - place)
    return content[:place] + bytes(size) + content[place + size :]


def digit_changed(content: bytes, draw: random.Random) -> bytes:
    """Change one decimal digit of a text, which stays well-formed; any bit where there is none."""
    places = [place for place, byte in enumerate(content) if 0x30 <= byte <= 0x39]
    if not places:
        return bit_flipped(content, draw)
    place = draw.choice(places)
    digit = 0x30 + (content[place] - 0x30 + draw.randint(1, 9)) % 10
    return content[:place] + bytes([digit]) + content[place + 1 :]


EVERY: dict[str, Damage] = {
    "cut short": cut_short,
    "emptied": emptied,
    "bit flipped": bit_flipped,
    "block zeroed": block_zeroed,
    "digit changed": digit_changed,
}


def spoil(path: Path, kind: str, draw: random.Random) -> bool:
    """Put a damaged file in the place of `path`, which may be a hard link; false if the bytes came out as they were."""
    before = path.read_bytes()
    if not before:
        return False
    after = EVERY[kind](before, draw)
    path.unlink()
    path.write_bytes(after)
    return after != before
