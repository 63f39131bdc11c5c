"""Words of concepts that have several values, and where they are in text."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

CONCEPTS: dict[str, tuple[str, ...]] = {
    "weekday": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "month": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
    "season": ("spring", "summer", "autumn", "fall", "winter"),
    "number": ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    "digit": tuple("0123456789"),
    "ordinal": ("first", "second", "third", "fourth", "fifth"),
    "country": (
        *("China", "Japan", "Iraq", "Iran", "Russia", "France", "Germany", "Britain", "Canada", "India", "Israel"),
        *("Australia", "Italy", "Spain", "Pakistan", "Afghanistan", "Greece", "Turkey", "Mexico", "Brazil"),
    ),
    "city": (
        *("London", "Paris", "Boston", "Chicago", "Washington", "Baghdad", "Athens", "Moscow", "Tokyo", "Beijing"),
        *("Houston", "Seattle", "Philadelphia", "Jerusalem", "Berlin", "Sydney", "Toronto", "Detroit", "Miami"),
    ),
    "nationality": (
        *("American", "British", "Chinese", "French", "German", "Iraqi", "Israeli", "Italian", "Japanese", "Russian"),
        *("Australian", "Canadian", "Indian", "Iranian", "Palestinian", "Spanish"),
    ),
    "colour": ("red", "blue", "green", "black", "white", "yellow", "brown", "grey", "gray", "pink"),
    "direction": ("north", "south", "east", "west", "North", "South", "East", "West", "northern", "southern"),
    "magnitude": ("hundred", "thousand", "million", "billion", "trillion"),
}
"""Words as they are written: a `May` is a month, a `may` is not."""

FEWEST_TOKENS = 20
FEWEST_VALUES = 3
FEWEST_OF_VALUE = 2


@dataclass(frozen=True)
class Occurrences:
    """Where a concept is: `rows` (t,), ascending, and which of its words each is, `values` (t,)."""

    rows: Integers
    values: Integers


def find_words(strings: NDArray[np.str_], words: tuple[str, ...]) -> Occurrences | None:
    """Occurrences of words that are one of the tokens `strings` (n,), without space around.

    Words that occur once are left out; None with fewer than 3 words or 20 tokens.
    """
    rows, values = [], []
    for value, word in enumerate(words):
        found = np.flatnonzero(strings == word)
        if len(found) >= FEWEST_OF_VALUE:
            rows.append(found)
            values.append(np.full(len(found), value))
    if len(rows) < FEWEST_VALUES or sum(map(len, rows)) < FEWEST_TOKENS:
        return None
    joined = np.concatenate(rows)
    order = np.argsort(joined, kind="stable")
    return Occurrences(joined[order].astype(np.int64), np.concatenate(values)[order].astype(np.int64))


def random_words(strings: NDArray[np.str_], like: Occurrences, rng: np.random.Generator) -> Integers:
    """Rows of as many words as `like` has, each drawn among the twenty whose counts are nearest to one of its words."""
    names, places, counts = np.unique(strings, return_inverse=True, return_counts=True)
    allowed = np.setdiff1d(np.arange(len(names)), places[like.rows])
    taken: list[int] = []
    for count in np.unique(like.values, return_counts=True)[1]:
        free = np.setdiff1d(allowed, taken)
        nearest = free[np.argsort(np.abs(counts[free] - count), kind="stable")[:20]]
        taken.append(int(rng.choice(nearest)))
    return np.flatnonzero(np.isin(places, taken)).astype(np.int64)
