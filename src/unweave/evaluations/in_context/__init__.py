"""Bits in the codes of the last token of a prompt, against its demonstrations (Binary Autoencoder, Section 4.3).

A prompt is a few answered lines of a labelled data set and one that is not answered (see `prompts`); the token before
the answer is read. For every number of demonstrations the dictionary's own method is fitted anew to these tokens, and
the entropy of its firing pattern on them is estimated as in `code_entropy`. The paper sees it fall with demonstrations.

Three arms: demonstrations that are drawn for each prompt (label ""); the same ones for all prompts (`fixed`), as the
authors' loader has it, where the context of a prompt no longer varies, which lowers entropy whatever a model learns
from it; and drawn ones with labels of chance (`random labels`), from which nothing can be learned. Beside the entropy
stand the FVU, two measures without any fit (signs of the principal components and the dimensions that the rows spread
over), and how often the model prefers the right label (`accuracy`), whose chance is one in the number of labels.

Rows are few, so the codes are those of the rows that were fitted, as in the released code. Intervals resample prompts.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from unweave.config import Site, Strict
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import Corpus, EvaluationData
from unweave.evaluations.in_context.prompts import Arm, Labelled, Template, prompts
from unweave.evaluations.refitted_entropy import entropy_scores, refit_of, refitted
from unweave.evaluations.resampled_scores import mean_score
from unweave.methods.dictionary import Dictionary
from unweave.models.hook_points import HookPoint, capture
from unweave.models.language_model import LanguageModel, load_language_model, preferred_dtype
from unweave.results.scores import Score

ARMS: dict[Arm, str] = {"random": "", "fixed": "fixed", "random labels": "random labels"}
BATCH_PROMPTS = 16


class Settings(Strict):
    """Settings of entropy in context; it needs one labelled corpus, whose texts become prompts."""

    text_prefix: str = Field(default="sentence: ", description="before a text")
    label_prefix: str = Field(default="sentiment: ", description="before its label")
    shots: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2)] = Field(
        default=[0, 1, 2, 4], description="demonstrations of a prompt"
    )
    prompts: Annotated[int, Field(ge=16)] = Field(default=512, description="for each number of demonstrations")
    longest: Annotated[int, Field(ge=1)] = Field(default=30, description="words of a text at most")
    answered: Annotated[int, Field(ge=2)] = Field(default=64, description="prompts that the whole model answers")
    k: Annotated[int, Field(ge=1)] = Field(
        default=32, description="features that fire on a token of a dense dictionary, and signs of principal components"
    )
    replaced: dict[str, Any] = Field(
        default={
            "tokens": 100_000,
            "batch_size": 64,
            "learning_rate": 5.0e-4,
            "entropy_weight": 1.0e-5,
            "validation_fraction": 0.0,
        },
        description="settings of the method that take other values here, where it has them",
    )


def labelled(corpus: Corpus, split: str, longest: int) -> Labelled:
    """Texts of a split that have a label and at most so many words."""
    labels = np.asarray(corpus.labels)
    rows = np.flatnonzero((np.asarray(corpus.splits) == split) & (labels >= 0))
    kept = [row for row in rows.tolist() if len(corpus.texts[row].split()) <= longest]
    return Labelled([" ".join(corpus.texts[row].split()) for row in kept], labels[kept])


def _padded(model: LanguageModel, written: Sequence[str], device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of tokens (B, T), padded on the right, and the place (B,) of the last token of each prompt."""
    ids = [torch.tensor(model.tokenizer(text)["input_ids"]) for text in written]
    for start in range(0, len(ids), BATCH_PROMPTS):
        batch = ids[start : start + BATCH_PROMPTS]
        padded = torch.nn.utils.rnn.pad_sequence(batch, batch_first=True)
        yield padded.to(device), torch.tensor([len(each) - 1 for each in batch], device=device)


def last_tokens(model: LanguageModel, point: HookPoint, written: Sequence[str], device: torch.device) -> Tensor:
    """Activations (n, width) at the last token of each prompt."""
    found = []
    for ids, last in _padded(model, written, device):
        with capture(model.model, [point]) as activations:
            model.model(input_ids=ids, use_cache=False)
        found.append(activations[point][torch.arange(len(ids)), last].float())
    return torch.cat(found)


def answers(model: LanguageModel, written: Sequence[str], names: Sequence[str], device: torch.device) -> NDArray[Any]:
    """Label (n,) that the model finds most probable after each prompt, by its first token.

    Raises
    ------
    UnweaveError
        if two labels begin with the same token.
    """
    first = [model.tokenizer(f" {name}", add_special_tokens=False)["input_ids"][0] for name in names]
    if len(set(first)) < len(first):
        raise UnweaveError(f"labels {', '.join(names)}: two of them begin with the same token: rename one")
    found = []
    for ids, last in _padded(model, written, device):
        places, rows = torch.unique(last, return_inverse=True)
        logits = model.model(input_ids=ids, use_cache=False, logits_to_keep=places).logits
        found.append(logits[torch.arange(len(ids)), rows][:, first].argmax(dim=1))
    return torch.cat(found).cpu().numpy()


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Entropy, what goes with it and accuracy against the number of demonstrations, for every arm.

    Raises
    ------
    UnweaveError
        if the method cannot be fitted anew, or there is not one labelled corpus with enough short texts.
    """
    refit = refit_of(dictionary, data)
    if len(data.corpora) != 1:
        raise UnweaveError(f"needs one labelled corpus, got {len(data.corpora)}")
    name, corpus = next(iter(data.corpora.items()))
    pool, queries = (labelled(corpus, split, settings.longest) for split in ("train", "test"))
    if len(queries.texts) < settings.prompts:
        raise UnweaveError(
            f"{name}: {len(queries.texts)} labelled test texts of at most {settings.longest} words, {settings.prompts} "
            "prompts: lower `prompts` or raise `longest`"
        )
    rng = np.random.default_rng(seed)
    pool = pool.chosen(rng.permutation(len(pool.texts)))
    queries = queries.chosen(rng.permutation(len(queries.texts))[: settings.prompts])
    template = Template(settings.text_prefix, settings.label_prefix, list(corpus.label_names))
    # As a harvest reads: hundreds of thousands of tokens, two to three times faster where the hardware has bfloat16.
    model = load_language_model(data.model_folder, preferred_dtype("auto", data.device), data.device)
    point = HookPoint(cast(Site, data.site), data.layer)
    scores: list[Score] = []
    for arm, label in ARMS.items():
        for shots in settings.shots:
            if shots == 0 and arm != "random":
                continue
            written = prompts(template, pool, queries, shots, arm, rng)
            x = last_tokens(model, point, written, data.device)
            right = answers(model, written[: settings.answered], template.names, data.device)
            found = refitted(refit, x, x, settings.replaced, settings.k, data.device)
            scores += entropy_scores(
                found, x, settings.k, seed, dataset=name, label=label, x_name="demonstrations", at=shots
            )
            scores.append(
                mean_score(
                    "accuracy",
                    right == queries.labels[: settings.answered],
                    seed=seed,
                    better=True,
                    dataset=name,
                    label=label,
                    x_name="demonstrations",
                    x=shots,
                )
            )
    return scores
