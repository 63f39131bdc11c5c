"""Sentences with a day of the week, a month or some other noun in them, and the activation at its last token."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.models.hook_points import HookPoint, capture
from unweave.models.language_model import LanguageModel

Integers = NDArray[np.int64]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
FAMILIES: dict[str, tuple[str, ...]] = {"weekday": WEEKDAYS, "month": MONTHS}
OTHERS = (
    *("London", "Paris", "Berlin", "Japan", "Brazil", "Canada", "Chicago", "Moscow", "table", "window", "garden"),
    *("river", "music", "doctor", "engine", "butter", "silver", "bridge", "letter", "winter", "nothing", "science"),
)
"""What a unit of a family must not fire on."""
TEMPLATES = (
    "The meeting was moved to {}",
    "Everyone talked about {}",
    "She had been waiting for {}",
    "I will never forget that {}",
    "The report mentions {}",
    "Nobody expected so much from {}",
    "They finally agreed on {}",
    "We have to decide before {}",
    "In the end it was all about {}",
    "He kept thinking of {}",
    "The story begins with {}",
    "Please remind me of {}",
)


PROMPTS = (
    "The office opens on Monday and closes again on Friday",
    "In March the garden was bare, and by July it was full of roses",
    "The doctor crossed the bridge with a letter about the engine",
)
"""Along which a unit is followed; the last one has no term."""


@dataclass(frozen=True)
class Terms:
    """Activations (n, d) at the last token of every term in every template."""

    x: Tensor
    family: NDArray[np.str_]
    """(n,) weekday, month or other"""
    place: Integers
    """(n,) of the term in its family, from 0"""
    template: Integers
    """(n,)"""


@dataclass(frozen=True)
class Prompt:
    """Text of every token but the first, which is context only, and the activations (n, d) there."""

    tokens: list[str]
    x: Tensor


def read_prompts(model: LanguageModel, point: HookPoint) -> list[Prompt]:
    """Run the model on the prompts, one at a time."""
    found = []
    for text in PROMPTS:
        ids = model.tokenizer(text)["input_ids"]
        with capture(model.model, [point]) as activations:
            model.model(input_ids=torch.tensor([ids], device=model.model.device), use_cache=False)
        tokens = [str(model.tokenizer.decode([token])) for token in ids[1:]]
        found.append(Prompt(tokens, activations[point][0, 1:].float()))
    return found


def read_terms(model: LanguageModel, point: HookPoint) -> Terms:
    """Run the model on all sentences, one at a time."""
    rows, family, place, template = [], [], [], []
    for name, terms in {**FAMILIES, "other": OTHERS}.items():
        for position, term in enumerate(terms):
            for number, sentence in enumerate(TEMPLATES):
                ids = torch.tensor([model.tokenizer(sentence.format(term))["input_ids"]], device=model.model.device)
                with capture(model.model, [point]) as found:
                    model.model(input_ids=ids, use_cache=False)
                rows.append(found[point][0, -1].float())
                family.append(name)
                place.append(position)
                template.append(number)
    return Terms(torch.stack(rows), np.array(family), np.array(place), np.array(template))
