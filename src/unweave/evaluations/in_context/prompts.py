"""Few-shot prompts in the form of the StaICC benchmark: answered lines of a labelled data set, then one question."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unweave.errors import UnweaveError

Integers = NDArray[np.int64]
Arm = Literal["random", "fixed", "random labels"]
"""Where the demonstrations of a prompt come from: drawn for each prompt; the same ones for all prompts, as the authors'
loader has it; drawn for each prompt, with labels of chance."""


@dataclass(frozen=True)
class Labelled:
    """Texts (n) with labels (n,)."""

    texts: Sequence[str]
    labels: Integers

    def chosen(self, indices: Integers) -> "Labelled":
        """Keep some of them."""
        return Labelled([self.texts[i] for i in indices.tolist()], self.labels[indices])


@dataclass(frozen=True)
class Template:
    """How a text and its label are written."""

    text: str
    """Before the text."""
    label: str
    """Before the label; without the space at its end where the label is asked for."""
    names: Sequence[str]
    """Of the labels."""

    def answered(self, examples: Labelled) -> str:
        """Lines of demonstrations."""
        pairs = zip(examples.texts, examples.labels.tolist(), strict=True)
        return "".join(f"{self.text}{text} {self.label}{self.names[label]}\n" for text, label in pairs)

    def question(self, text: str) -> str:
        """Ask for the label of a text, up to the last character before it."""
        return f"{self.text}{text} {self.label.rstrip()}"


def prompts(
    template: Template, pool: Labelled, queries: Labelled, shots: int, arm: Arm, rng: np.random.Generator
) -> list[str]:
    """One prompt for each of the `queries` after so many demonstrations from the `pool`.

    Raises
    ------
    UnweaveError
        if the pool has too few texts.
    """
    if shots > len(pool.texts):
        raise UnweaveError(f"{shots} demonstrations are asked for and {len(pool.texts)} texts are there: lower `shots`")
    written = []
    for text in queries.texts:
        drawn = np.arange(shots) if arm == "fixed" else rng.choice(len(pool.texts), size=shots, replace=False)
        examples = pool.chosen(drawn)
        if arm == "random labels":
            examples = Labelled(examples.texts, rng.integers(len(template.names), size=shots))
        written.append(template.answered(examples) + template.question(text))
    return written
