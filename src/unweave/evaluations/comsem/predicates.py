"""A bank of predicates that are true or false of a token in its context: the explanations that need no judge.

A predicate is named `kind: detail`. Kinds: `token` (its text in lower case), `cluster` (tokens whose input embeddings
lie together), `class` (closed word classes of English, number, punctuation), `affix` and `case` of its word, `part` of
the word that it is, `position`, `sentence`, `inside`, `previous` and `next` token, `seen` before in the document,
`script`, and `label` (topic or language) of its document.

The bank holds what is true of at least one token in RAREST, of at least FEWEST, and of no more than the share
COMMONEST: what holds of more is no explanation, as ComSem's prompt forbids generic ones (nor is the label where there
are only two). The lists of words are closed classes of English and a few large semantic ones; tokens, neighbours and
labels come from the corpus. What the bank cannot name counts as not interpretable, so every share is a lower bound.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc
from sklearn.cluster import MiniBatchKMeans

from unweave.evaluations.comsem.contexts import Occurrence

RAREST = 2000
FEWEST = 5
COMMONEST = 1 / 3
PREFIXES = ("anti", "con", "de", "dis", "in", "inter", "mis", "non", "out", "over", "pre", "pro", "re", "sub", "un")
SUFFIXES = (
    *("able", "al", "ance", "ed", "ence", "er", "es", "est", "ful", "ic", "ing", "ion", "ism", "ist", "ity", "ive"),
    *("less", "ly", "ment", "n't", "ness", "or", "ous", "s", "'s", "y"),
)
STEM = 3
"""Letters that must be left of a word without its affix."""
WORD_CLASSES = {
    "determiner": "a an the this that these those some any each every no another such both all either neither",
    "pronoun": "i you he she it we they me him her us them who whom what which myself himself herself itself "
    "ourselves themselves someone anyone everyone something anything everything nothing nobody one",
    "possessive": "my your his her its our their whose",
    "preposition": "of in to for with on at from by about as into like through after over between out against during "
    "without before under around among within along across behind beyond near since until upon toward towards despite",
    "conjunction": "and or but nor so yet because although though while if unless whereas whether than",
    "be": "am is are was were be been being isn't aren't wasn't weren't",
    "have or do": "have has had having do does did doing done don't doesn't didn't haven't hasn't hadn't",
    "modal": "can could may might must shall should will would can't couldn't won't wouldn't shouldn't cannot",
    "negation": "not no never none nothing nobody neither nor cannot can't don't doesn't didn't won't isn't wasn't",
    "number word": "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred "
    "hundreds thousand thousands million millions billion billions first second third fourth half dozen",
    "time": "day days week weeks month months year years today yesterday tomorrow monday tuesday wednesday thursday "
    "friday saturday sunday january february march april may june july august september october november december "
    "hour hours minute minutes morning afternoon evening night decade century ago",
    "speech": "say says said saying tell tells told speak spoke ask asked asks call called claim claimed claims add "
    "added adds announce announced report reported reports argue argued explain explained warn warned",
}
CLASSES_OF_WORD: dict[str, list[str]] = {}
for _title, _words in WORD_CLASSES.items():
    for _word in _words.split():
        CLASSES_OF_WORD.setdefault(_word, []).append(_title)

WORD_END = re.compile(r"[^\W_](?:[^\W_]|['’](?=[^\W_]))*$")
WORD_START = re.compile(r"^(?:[^\W_]|['’](?=[^\W_]))*")
OPENING, CLOSING = "([{“", ")]}”"


def word_around(occurrence: Occurrence) -> tuple[str, str, str]:
    """Split the word around a token into what is left of the token, the token and what is right of it."""
    token = occurrence.token
    left = right = ""
    if token[:1].isalnum() or token[:1] in ("'", "’"):
        found = WORD_END.search(occurrence.before[-40:])
        left = found.group() if found else ""
    if token[-1:].isalnum():
        right = WORD_START.match(occurrence.after).group()  # type: ignore[union-attr]  # it matches the empty text
    return left, token, right


def _of_word(left: str, token: str, right: str) -> Iterator[str]:
    word = (left + token + right).replace("’", "'")
    lower = word.lower()
    if left or right:
        yield "part: " + ("first of a word" if not left else "last of a word" if not right else "inside a word")
    else:
        yield "part: whole word"
    for title in CLASSES_OF_WORD.get(lower, ()):
        yield f"class: {title}"
    for prefix in PREFIXES:
        if lower.startswith(prefix) and len(lower) >= len(prefix) + STEM:
            yield f"affix: {prefix}-"
    for suffix in SUFFIXES:
        if lower.endswith(suffix) and len(lower) >= len(suffix) + STEM - 1:
            yield f"affix: -{suffix}"
    if word.isupper() and len(word) > 1:
        yield "case: upper"
    elif word[:1].isupper():
        yield "case: capital"


def shape(text: str) -> str:
    """`word`, `number`, `punctuation`, `symbol`, `space` or `nothing`."""
    if not text.strip():
        return "space" if text else "nothing"
    if text.isalpha() or ("'" in text and any(c.isalpha() for c in text)):
        return "word"
    if any(c.isdigit() for c in text):
        return "number"
    return "punctuation" if all(unicodedata.category(c)[0] == "P" for c in text) else "symbol"


def facts(occurrence: Occurrence) -> Iterator[str]:
    """Names of the predicates that hold; embeddings are not looked at."""
    token, before, after = occurrence.token, occurrence.before, occurrence.after
    yield f"token: {token.lower()}"
    yield f"class: {shape(token)}"
    left, _, right = around = word_around(occurrence)
    if any(c.isalnum() for c in token):
        yield from _of_word(*around)
        if not left and re.search(r"(?:^|[.!?][\"”’')\]]*\s+|\n\s*)[\"“‘'(\[]*$", before[-12:]):
            yield "sentence: first word"
    if re.match(r"[.!?][\"”’')\]]*(?:\s|$)", after) and not right:
        yield "sentence: last word"
    yield f"position: {1 << occurrence.position.bit_length() >> 1} or later, below twice that"
    if sum(before.count(c) for c in OPENING) > sum(before.count(c) for c in CLOSING):
        yield "inside: brackets or quotes"
    if before.count('"') % 2:
        yield "inside: straight quotes"
    for kind, text in (("previous", occurrence.neighbour(-1)), ("next", occurrence.neighbour(1))):
        yield f"{kind}: {text.lower()}"
        yield f"{kind} is: {shape(text)}"
        if text[:1].isupper():
            yield f"{kind} is: capital"
        for title in CLASSES_OF_WORD.get(text.lower(), ()):
            yield f"{kind} is: {title}"
    if token.isalpha() and token in occurrence.document.tokens[: occurrence.position]:
        yield "seen: earlier in the document"
    letter = next((c for c in token if c.isalpha()), "")
    if letter:
        yield f"script: {unicodedata.name(letter, 'unknown').partition(' ')[0].lower()}"
    if occurrence.document.label:
        yield f"label: {occurrence.document.label}"


def cluster_names(
    ids: NDArray[np.integer], tokens: Sequence[str], embeddings: NDArray[np.float32], clusters: int, seed: int
) -> list[str]:
    """Cluster (n,) of each token by its input embedding, named after its three most frequent tokens.

    `ids` (n,) and `tokens` (n,) are of the corpus, `embeddings` (vocabulary, d) of the model. K-means of directions.
    """
    distinct, of_row, counts = np.unique(ids, return_inverse=True, return_counts=True)
    points = embeddings[distinct] - embeddings[distinct].mean(axis=0)
    points /= np.linalg.norm(points, axis=1, keepdims=True).clip(1e-12)
    found = MiniBatchKMeans(min(clusters, len(distinct)), random_state=seed, n_init=3).fit_predict(points)
    text = dict(zip(of_row.tolist(), tokens, strict=True))
    members: dict[int, list[int]] = {}
    for kind in np.argsort(-counts, kind="stable").tolist():
        members.setdefault(int(found[kind]), []).append(kind)
    names = {cluster: ", ".join(text[kind] for kind in kinds[:3]) for cluster, kinds in members.items()}
    return [f"cluster: {names[cluster]} ({cluster})" for cluster in found[of_row].tolist()]


@dataclass(frozen=True)
class PredicateBank:
    """Q predicates on n tokens."""

    names: list[str]
    """(Q,)"""
    holds: NDArray[np.bool_]
    """(n, Q)"""

    @classmethod
    def of(cls, facts_of_rows: Iterable[Iterable[str]]) -> "PredicateBank":
        """From the names of what holds of each row; predicates that are too rare or too common are left out."""
        rows = [set(names) for names in facts_of_rows]
        counts = Counter(name for names in rows for name in names)
        fewest = max(FEWEST, len(rows) / RAREST)
        kept = sorted(name for name, count in counts.items() if fewest <= count <= COMMONEST * len(rows))
        index = {name: q for q, name in enumerate(kept)}
        holds = np.zeros((len(rows), len(kept)), dtype=bool)
        for row, names in enumerate(rows):
            holds[row, [index[name] for name in names if name in index]] = True
        return cls(kept, holds)

    @property
    def kinds(self) -> list[str]:
        """(Q,) kind of each predicate."""
        return [name.partition(":")[0] for name in self.names]


def tail(hits: NDArray[np.integer], n: NDArray[np.integer] | int, rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability of at least `hits` of n independent tokens when each is a hit with probability `rate`."""
    probability: NDArray[np.float64] = np.where(hits > 0, bdtrc(np.maximum(hits, 1) - 1.0, n, rate), 1.0)
    return probability
