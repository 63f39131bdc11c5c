"""What the model writes when single features are added (Semi-NMF, appendix; ICA Lens v2, Table 8).

Features are drawn, not picked, and so are random directions. Either sign of each is added to the residual stream at the
strength at which the next token's distribution has moved by a given divergence, and the prompt is continued. Beside
each text stands its loss under the model without the feature, so that broken text shows, and the words that the
direction raises most, which is all that is known of what the feature should do.

The Semi-NMF paper adds at every position and samples; ICA Lens adds at the last position of the prompt alone
(`positions: last`), a fixed length of one chosen component, and takes the most probable tokens (`greedy`).

Rows: `text_loss`, labelled `<direction>: <text>`, and `strength`, labelled `<direction>: <words>`; x is the divergence,
negative where the direction is subtracted, and 0 for the text without any. A direction that does not reach a divergence
has no rows there; `calibrated` is the share that does.
"""

from functools import partial
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from unweave.config import Distinct, Strict
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.steering.calibration import calibrate, divergence_from
from unweave.evaluations.steering.directions import drawn_features, in_residual_stream, raised_tokens, random_like
from unweave.evaluations.steering.generation import continuations, mean_losses
from unweave.evaluations.steering.prompt import read_prompt
from unweave.methods.dictionary import Dictionary
from unweave.models.language_model import load_language_model
from unweave.results.scores import Score

WORDS = 5
"""Of those that a direction raises."""
WITHOUT = "no feature"
SIGNS = (1, -1)


class Settings(Strict):
    """Settings of the steered texts; it makes its own text."""

    prompt: Annotated[str, Field(min_length=1)] = Field(default="I think that", description="text that is continued")
    features: Annotated[int, Field(ge=2)] = Field(
        default=3, description="features that are drawn (all where there are fewer), and as many random directions"
    )
    targets: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1), Distinct] = Field(
        default=[0.25, 1.0], description="divergences in nats"
    )
    tokens: Annotated[int, Field(ge=1)] = Field(default=20, description="of a continuation")
    positions: Literal["every", "last"] = Field(
        default="every", description="where a direction is added: everywhere, or at the last token of the prompt alone"
    )
    greedy: bool = Field(default=False, description="take the most probable tokens instead of sampling")


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Texts with and without features.

    Raises
    ------
    UnweaveError
        if the dictionary writes nothing to the residual stream, or fewer than two of its atoms are not zero.
    """
    rng = np.random.default_rng(seed)
    drawn = drawn_features(dictionary, settings.features, rng)
    language_model = load_language_model(data.model_folder, torch.float32, data.device)
    model, tokenizer = language_model.model, language_model.tokenizer
    atoms = in_residual_stream(
        model, dictionary.traits.writes or data.site, data.layer, dictionary.atoms[drawn].float()
    )
    names = [f"feature {feature}" for feature in drawn.tolist()]
    names += [f"random direction {index + 1}" for index in range(len(atoms))]
    divergences = [sign * target for sign in SIGNS for target in settings.targets]
    cells = [(name, divergence) for name in names for divergence in divergences]
    targets = torch.tensor([divergence for _, divergence in cells], device=data.device)
    directions = torch.cat([atoms, random_like(atoms, rng)]).repeat_interleave(len(divergences), dim=0)
    directions *= targets.sign()[:, None]

    last_only = settings.positions == "last"
    prompt = read_prompt(language_model, settings.prompt, data.layer, data.device)
    divergence_of = divergence_from(model, data.layer, prompt.stream, last_only=last_only)
    calibrated = calibrate(divergence_of, directions, targets.abs(), prompt.unit)
    met = calibrated.met(targets.abs())
    cells = [cell for cell, reached in zip(cells, met.tolist(), strict=True) if reached]
    directions, strengths = directions[met], calibrated.strengths[met]
    added = torch.cat([torch.zeros_like(directions[:1]), strengths[:, None] * directions])
    generator = None if settings.greedy else torch.Generator().manual_seed(seed)
    texts = continuations(model, data.layer, prompt.ids, added, settings.tokens, generator, last_only=last_only)
    losses = mean_losses(model, prompt.ids, texts).double().tolist()
    raised = raised_tokens(model, directions)[:, :WORDS].tolist()

    score = partial(Score, dataset="", n=settings.tokens, higher_is_better=None, x_name="kl", seed=seed)
    written = [str(tokenizer.decode(row)) for row in texts.tolist()]
    words = [", ".join(str(tokenizer.decode([token])).strip() for token in row) for row in raised]
    share = Score(
        metric="calibrated", value=float(met.double().mean()), dataset="", n=len(met), unit="1", higher_is_better=None
    )
    return (
        [share]
        + [
            score(metric="text_loss", label=f"{name}: {text}", x=x, value=loss, unit="nat per token")
            for (name, x), text, loss in zip([(WITHOUT, 0.0), *cells], written, losses, strict=True)
        ]
        + [
            score(metric="strength", label=f"{name}: {said}", x=x, value=strength, unit="activation")
            for (name, x), said, strength in zip(cells, words, strengths.double().tolist(), strict=True)
        ]
    )
