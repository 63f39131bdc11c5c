"""Words of one token, and what the model makes of them when it is asked for their first letter."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from unweave.config import Site
from unweave.errors import UnweaveError
from unweave.models.hook_points import HookPoint, capture
from unweave.models.language_model import LanguageModel

Integers = NDArray[np.int64]

QUESTION = "{word} has the first letter:"
EXAMPLES = 10
SHORTEST = 3
BATCH_WORDS = 64


@dataclass(frozen=True)
class Words:
    """Words (n) with the number of their first letter (n,): 0 for a."""

    texts: list[str]
    letters: Integers

    def chosen(self, indices: Integers) -> "Words":
        """Keep some of them."""
        return Words([self.texts[i] for i in indices.tolist()], self.letters[indices])


def draw_words(tokenizer: PreTrainedTokenizerBase, per_letter: int, rng: np.random.Generator) -> Words:
    """Draw up to `per_letter` words of one token for each first letter: a space, then three or more ASCII letters.

    Raises
    ------
    UnweaveError
        if the vocabulary has none.
    """
    by_letter: dict[int, list[str]] = {}
    for token in range(len(tokenizer)):
        text = str(tokenizer.decode([token]))
        word = text[1:]
        if text[:1] == " " and len(word) >= SHORTEST and word.isascii() and word.isalpha():
            by_letter.setdefault(ord(word[0].lower()) - ord("a"), []).append(text)
    if not by_letter:
        raise UnweaveError("the model's vocabulary has no words of one token: leave the absorption evaluation out")
    texts: list[str] = []
    letters: list[int] = []
    for letter, words in sorted(by_letter.items()):
        drawn = rng.permutation(len(words))[:per_letter]
        texts += [words[i] for i in drawn.tolist()]
        letters += [letter] * len(drawn)
    order = rng.permutation(len(texts))
    return Words([texts[i] for i in order.tolist()], np.array(letters)[order])


def letter_of(letter: int) -> str:
    """Upper-case letter of a number."""
    return chr(ord("A") + letter)


class Asked:
    """A model that has read some answered questions and is asked for the first letter of more words.

    The answered questions are read once: their keys and values serve every word.
    """

    def __init__(self, model: LanguageModel, examples: Words, device: torch.device) -> None:
        self._model, self._tokenizer, self._device = model.model, model.tokenizer, device
        pairs = zip(examples.texts, examples.letters.tolist(), strict=True)
        lines = [f"{QUESTION.format(word=text)} {letter_of(letter)}" for text, letter in pairs]
        prompt = "\n" + "\n".join(lines) + "\n"
        ids = torch.tensor(self._tokenizer(prompt)["input_ids"], device=device)
        self._cache = self._model(input_ids=ids[None], use_cache=True).past_key_values

    def _batches(self, words: Words) -> Iterator[tuple[Tensor, object]]:
        ids = [self._tokenizer(QUESTION.format(word=text))["input_ids"] for text in words.texts]
        if len(set(map(len, ids))) > 1:
            raise UnweaveError(
                "questions about words of one token differ in length: this tokenizer merges across words"
            )
        for batch in torch.split(torch.tensor(ids, device=self._device), BATCH_WORDS):
            cache = copy.deepcopy(self._cache)
            cache.batch_repeat_interleave(len(batch))
            yield batch, cache

    def activations(self, words: Words, site: Site, layer: int) -> Tensor:
        """Activations (n, d) at the token of each word."""
        point = HookPoint(site, layer)
        found = []
        for ids, cache in self._batches(words):
            with capture(self._model, [point]) as activations:
                # What follows the word cannot change its activation.
                self._model(input_ids=ids[:, :1], past_key_values=cache, use_cache=True)
            found.append(activations[point][:, 0].float())
        return torch.cat(found)

    def right(self, words: Words) -> NDArray[np.bool_]:
        """Whether the most probable next token (n,) is the first letter."""
        found: list[str] = []
        for ids, cache in self._batches(words):
            logits = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
            found += [str(self._tokenizer.decode([token])).strip() for token in logits.argmax(dim=-1).tolist()]
        answers = [letter_of(letter) for letter in words.letters.tolist()]
        return np.array([one == other for one, other in zip(found, answers, strict=True)])
