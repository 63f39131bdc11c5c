"""From documents to rows of activations: the forward passes of a harvest."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from unweave.activations.documents import Document, length_bucketed
from unweave.activations.parts import Checkpoint, Part
from unweave.activations.store import StoredTokens, is_finite
from unweave.config import HarvestSettings
from unweave.errors import UnweaveError
from unweave.models.hook_points import HookPoint, capture, width


def stored_points(settings: HarvestSettings) -> list[HookPoint]:
    """Points whose activations are kept."""
    return [HookPoint(site, layer) for site in settings.sites for layer in settings.layers_of(site)]


def _residual_points(settings: HarvestSettings) -> list[HookPoint]:
    """Points whose norm decides what is an outlier."""
    return [HookPoint("resid", layer) for layer in sorted(set(settings.layers))]


def rows_of(document: Document, settings: HarvestSettings) -> int:
    """How many positions are not dropped."""
    return max(0, len(document.ids) - settings.drop_positions)


def _tokens_of(documents: Sequence[Document], settings: HarvestSettings) -> StoredTokens:
    rows = [rows_of(document, settings) for document in documents]
    first = settings.drop_positions
    return StoredTokens(
        ids=np.array([token for document in documents for token in document.ids[first:]], dtype=np.int32),
        docs=np.repeat(np.array([document.row for document in documents], dtype=np.int32), rows),
        positions=np.array([position for count in rows for position in range(first, first + count)], dtype=np.int32),
    )


@torch.inference_mode()
def read_part(
    model: PreTrainedModel,
    documents: Sequence[Document],
    settings: HarvestSettings,
    advance: Callable[[int], None] = lambda _: None,
) -> Part:
    """Activations of all documents that are longer than the dropped positions, in document order.

    The residual stream is added to the stored points if outliers are to be found. Every batch calls `advance` with its
    number of rows.
    """
    points = stored_points(settings)
    if settings.max_norm_ratio is not None:
        points = list(dict.fromkeys(points + _residual_points(settings)))
    counts = [rows_of(document, settings) for document in documents]
    dtype = getattr(torch, settings.store_dtype)
    rows = {point: torch.empty((sum(counts), width(model, point.site)), dtype=dtype) for point in points}
    rows_by_document = {point: torch.split(rows[point], counts) for point in points}
    first = settings.drop_positions
    read = [index for index, count in enumerate(counts) if count]
    for batch in length_bucketed([len(documents[index].ids) for index in read], settings.batch_tokens):
        chosen = [read[place] for place in batch]
        tokens_BT = pad_sequence([torch.tensor(documents[index].ids) for index in chosen], batch_first=True)
        for point, activation_BTW in _read_batch(model, points, tokens_BT).items():
            # Moving the little padding too costs less than gathering the kept rows first.
            moved = activation_BTW.to("cpu", dtype)
            for place, index in enumerate(chosen):
                rows_by_document[point][index].copy_(moved[place, first : first + counts[index]])
        advance(sum(counts[index] for index in chosen))
    return Part(rows, _tokens_of(documents, settings))


def _read_batch(model: PreTrainedModel, points: list[HookPoint], tokens_BT: Tensor) -> dict[HookPoint, Tensor]:
    """Activations (B, T, width) at `points`."""
    with capture(model, points) as activations:
        model.base_model(input_ids=tokens_BT.to(model.device), use_cache=False)
    return activations


def without_outliers(part: Part, settings: HarvestSettings, reached: Checkpoint) -> tuple[Part, tuple[float, ...]]:
    """Drop the rows whose residual stream is too long after any of the harvested layers, from all points.

    Too long is more than `max_norm_ratio` times the median norm at that layer in the first part of the harvest. Returns
    the part with the stored points alone, and these medians.
    """
    if settings.max_norm_ratio is None:
        return part, ()
    norms = torch.stack([part.activations[point].float().norm(dim=1) for point in _residual_points(settings)])
    median_norms = reached.median_norms or tuple(norms.median(dim=1).values.tolist())
    usual = (norms <= settings.max_norm_ratio * torch.tensor(median_norms)[:, None]).all(dim=0)
    stored = {point: part.activations[point] for point in stored_points(settings)}
    return Part(stored, part.tokens)[usual], median_norms


def check_finite(part: Part) -> None:
    """Raise UnweaveError if a number is NaN or beyond the range of the stored dtype."""
    for point, rows in part.activations.items():
        if not is_finite(rows):
            name = str(rows.dtype).removeprefix("torch.")
            raise UnweaveError(
                f"{point.site} at layer {point.layer}: has values that {name} cannot hold: set `store_dtype` to "
                "bfloat16 or float32, or drop outliers with `max_norm_ratio`"
            )
