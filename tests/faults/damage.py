"""Ways in which the bytes of a file go wrong."""

import random
from collections.abc import Callable, Iterator
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
    return with_flipped(content, 8 * draw.randrange(len(content)) + draw.randrange(8))


def with_flipped(content: bytes, bit: int) -> bytes:
    """Change the given bit."""
    place = bit // 8
    return content[:place] + bytes([content[place] ^ 1 << bit % 8]) + content[place + 1 :]


def each_bit_flipped(path: Path) -> Iterator[None]:
    """Change every bit of a file in turn, in place, because emptying a file first takes milliseconds."""
    content = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for bit in range(8 * len(content)):
            file.seek(0)
            file.write(with_flipped(content, bit))
            yield


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


def _in_header(damage: Damage) -> Damage:
    """The same within the header of a safetensors file, whose first eight bytes are its size."""

    def of_header(content: bytes, draw: random.Random) -> bytes:
        end = 8 + int.from_bytes(content[:8], "little")
        return damage(content[:end], draw) + content[end:]

    return of_header


OF_HEADERS: dict[str, Damage] = {
    "bit of the header flipped": _in_header(bit_flipped),
    "digit of the header changed": _in_header(digit_changed),
}


def spoil(path: Path, kind: str, draw: random.Random) -> bool:
    """Put a damaged file in the place of `path`, which may be a hard link; false if the bytes came out as they were."""
    before = path.read_bytes()
    if not before:
        return False
    after = (EVERY | OF_HEADERS)[kind](before, draw)
    path.unlink()
    path.write_bytes(after)
    return after != before
