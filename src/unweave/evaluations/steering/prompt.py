"""A prompt that the model has read as far as the block after which it is steered."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unweave.models.hook_points import HookPoint, capture
from unweave.models.language_model import LanguageModel


@dataclass(frozen=True)
class Prompt:
    """Tokens and residual stream of a prompt."""

    ids: Tensor
    """(T,)"""
    stream: Tensor
    """(T, d) after the block, float32"""

    @property
    def unit(self) -> float:
        """Mean norm of the stream, in which strengths are searched."""
        # The first position is a sink far longer than the others.
        return float(self.stream[1:].norm(dim=1).mean()) if len(self.stream) > 1 else float(self.stream.norm())


def read_prompt(language_model: LanguageModel, text: str, layer: int, device: torch.device) -> Prompt:
    """Read a text up to block `layer`."""
    ids = torch.tensor(language_model.tokenizer(text)["input_ids"], device=device)
    point = HookPoint("resid", layer)
    with capture(language_model.model, [point]) as found:
        language_model.model(input_ids=ids[None], use_cache=False)
    return Prompt(ids, found[point][0].float())
