"""ComSem's two stages: name what a few tokens of a feature have in common, then ask of other tokens whether it holds.

The interpreter that names and answers is the bank of predicates, or a language model behind the same interface. The
released code takes the first entries of the corpus for both stages, often from one paragraph. Here the tokens come from
different documents, those of the second stage from the other half of the corpus.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unweave.evaluations.comsem.predicates import PredicateBank, tail

Integers = NDArray[np.int64]


class Interpreter(Protocol):
    """Names what tokens have in common and answers whether it holds of others. Tokens are rows of the corpus."""

    def explain(self, rows: Integers) -> str | None:
        """Say what these rows have in common; None if nothing."""

    def holds(self, explanation: str, rows: Integers) -> NDArray[np.bool_]:
        """Answer (m,) for each of `rows` (m,)."""


class BankInterpreter:
    """Takes the predicate that holds of the most rows, at least `agreeing`; of several the rarest, the most specific.

    The one least likely by chance would do worse: a rare predicate that four tokens of five share by accident is less
    likely than a common one that is true of all five.
    """

    def __init__(self, bank: PredicateBank, background: Integers, agreeing: int) -> None:
        """Rare is what holds of few of the rows `background`."""
        self._bank = bank
        self._rates = bank.holds[background].mean(axis=0)
        self._agreeing = agreeing
        self._index = {name: q for q, name in enumerate(bank.names)}

    def explain(self, rows: Integers) -> str | None:
        """Name of the predicate; of equally rare ones, the first."""
        hits = self._bank.holds[rows].sum(axis=0)
        most = hits.max(initial=0)
        if most < min(self._agreeing, len(rows)):
            return None
        shared = np.flatnonzero(hits == most)
        return self._bank.names[int(shared[self._rates[shared].argmin()])]

    def holds(self, explanation: str, rows: Integers) -> NDArray[np.bool_]:
        """Whether the predicate of that name holds (m,)."""
        answers: NDArray[np.bool_] = self._bank.holds[rows, self._index[explanation]]
        return answers


@dataclass(frozen=True)
class Verdict:
    """What came of one feature."""

    feature: int
    explanation: str | None
    hits: int
    tested: int
    base: float
    """Share of all tokens of which the explanation holds; 0 without one."""

    @property
    def score(self) -> float:
        """Share of the tested tokens of which it holds (ComSem's score); 0 without an explanation."""
        return self.hits / self.tested

    @property
    def corrected(self) -> float:
        """(score - base) / (1 - base): 0 at chance, 1 for a perfect explanation; 0 without one."""
        return (self.score - self.base) / (1 - self.base) if self.base < 1 else 0.0

    @property
    def chance(self) -> float:
        """Probability of as many hits among random tokens."""
        return float(tail(np.array(self.hits), self.tested, np.array(self.base)))


Lists = dict[int, tuple[Integers, Integers]]
"""Feature to the rows that explain it and those that test the explanation."""


def earliest(by_feature: Sequence[Integers], explained: int, tested: int) -> Lists:
    """As the released code takes them: the first entries of features that have more than `explained`."""
    return {
        feature: (rows[:explained], rows[explained : explained + tested])
        for feature, rows in enumerate(by_feature)
        if len(rows) > explained
    }


def from_different_documents(
    by_feature: Sequence[Integers],
    docs: NDArray[np.integer],
    half: NDArray[np.bool_],
    explained: int,
    tested: int,
    rng: np.random.Generator,
) -> Lists:
    """Random entries, one of a document, of features that have `explained` documents in each half of the corpus."""
    lists: Lists = {}
    for feature, rows in enumerate(by_feature):
        if len(rows) < 2 * explained:
            continue
        drawn = rng.permutation(rows)
        drawn = drawn[np.sort(np.unique(docs[drawn], return_index=True)[1])]
        first, second = drawn[half[drawn]], drawn[~half[drawn]]
        if min(len(first), len(second)) >= explained:
            lists[feature] = first[:explained], second[:tested]
    return lists


def verdicts(interpreter: Interpreter, lists: Lists, background: Integers) -> list[Verdict]:
    """Verdict of each feature of `lists`; the base rate is that of the rows `background`."""
    found = []
    bases: dict[str, float] = {}
    for feature, (explaining, testing) in lists.items():
        explanation = interpreter.explain(explaining)
        if explanation is None:
            found.append(Verdict(feature, None, 0, len(testing), 0.0))
            continue
        if explanation not in bases:
            bases[explanation] = float(interpreter.holds(explanation, background).mean())
        hits = int(interpreter.holds(explanation, testing).sum())
        found.append(Verdict(feature, explanation, hits, len(testing), bases[explanation]))
    return found
