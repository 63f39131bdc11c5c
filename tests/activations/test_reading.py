from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from unweave.activations.documents import Document
from unweave.activations.parts import Checkpoint, Part
from unweave.activations.reading import check_finite, read_part, rows_of, without_outliers
from unweave.activations.store import StoredTokens
from unweave.config import SITES, HarvestSettings
from unweave.errors import UnweaveError
from unweave.models.hook_points import HookPoint, capture

LENGTHS = [9, 1, 30, 2, 17, 0, 30, 5]


@pytest.fixture(scope="module")
def model(model_folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    generator = torch.Generator().manual_seed(0)
    return [
        Document(10 + index, torch.randint(1, 257, (length,), generator=generator).tolist())
        for index, length in enumerate(LENGTHS)
    ]


def settings_of(**settings: object) -> HarvestSettings:
    return HarvestSettings.model_validate({"layers": [0, 2], "store_dtype": "float32", **settings})


def one_by_one(model: PreTrainedModel, documents: list[Document], point: HookPoint, drop: int) -> torch.Tensor:
    """Rows of each document read alone, without padding."""
    rows = []
    for document in documents:
        if len(document.ids) > drop:
            with torch.no_grad(), capture(model, [point]) as activations:
                model(input_ids=torch.tensor([document.ids]), use_cache=False)
            rows.append(activations[point][0, drop:])
    return torch.cat(rows)


@pytest.mark.parametrize("batch_tokens", [2, 40, 64, 10_000])
@pytest.mark.parametrize("drop", [0, 1, 3])
def test_batches_give_the_rows_of_documents_read_alone_in_document_order(
    model: PreTrainedModel, documents: list[Document], batch_tokens: int, drop: int
) -> None:
    settings = settings_of(sites=list(SITES), batch_tokens=batch_tokens, drop_positions=drop)
    part = read_part(model, documents, settings)
    assert set(part.activations) == {(site, layer) for site in SITES for layer in (0, 2)}
    for point, rows in part.activations.items():
        assert torch.allclose(rows, one_by_one(model, documents, point, drop), atol=1e-5)


def test_tokens_say_where_each_row_comes_from(model: PreTrainedModel, documents: list[Document]) -> None:
    tokens = read_part(model, documents, settings_of(drop_positions=2)).tokens
    by_row = {document.row: document.ids for document in documents}
    assert [by_row[doc][position] for doc, position in zip(tokens.docs, tokens.positions, strict=True)] == list(
        tokens.ids
    )
    assert len(tokens.ids) == sum(rows_of(document, settings_of(drop_positions=2)) for document in documents)
    assert tokens.positions.min() == 2
    assert list(np.unique(tokens.docs)) == [10, 12, 14, 16, 17]


def test_every_batch_reports_its_rows(model: PreTrainedModel, documents: list[Document]) -> None:
    reported: list[int] = []
    part = read_part(model, documents, settings_of(batch_tokens=60), reported.append)
    assert len(reported) > 1
    assert sum(reported) == len(part)


def test_rows_are_stored_in_the_asked_dtype(model: PreTrainedModel, documents: list[Document]) -> None:
    exact = read_part(model, documents, settings_of()).activations["resid", 2]
    for name in ("bfloat16", "float16"):
        rows = read_part(model, documents, settings_of(store_dtype=name)).activations["resid", 2]
        assert torch.equal(rows, exact.to(getattr(torch, name)))


def planted(norms: list[list[float]]) -> Part:
    """A part whose residual rows have the given norms at layers 0 and 2; mlp_out holds the row numbers."""
    by_layer = torch.tensor(norms)
    numbers = torch.arange(len(norms), dtype=torch.float32)[:, None]
    activations = {HookPoint("resid", layer): by_layer[:, [column]] for column, layer in enumerate((0, 2))}
    activations |= {HookPoint("mlp_out", layer): numbers for layer in (0, 2)}
    return Part(activations, StoredTokens(*(np.arange(len(norms), dtype=np.int32),) * 3))


NORMS = [[1.0, 10.0], [1.0, 11.0], [9.0, 10.0], [2.0, 9.0], [1.0, 99.0]]


def test_a_row_that_is_too_long_at_one_layer_is_dropped_everywhere() -> None:
    settings = settings_of(sites=["mlp_out"], max_norm_ratio=5)
    part, medians = without_outliers(planted(NORMS), settings, Checkpoint())
    assert medians == (1.0, 10.0)
    assert part.tokens.ids.tolist() == [0, 1, 3]
    assert set(part.activations) == {("mlp_out", 0), ("mlp_out", 2)}
    assert part.activations["mlp_out", 2].flatten().tolist() == [0, 1, 3]


def test_later_parts_are_measured_against_the_medians_of_the_first() -> None:
    settings = settings_of(sites=["mlp_out"], max_norm_ratio=5)
    reached = Checkpoint(median_norms=(2.0, 20.0))
    part, medians = without_outliers(planted(NORMS), settings, reached)
    assert medians == (2.0, 20.0)
    assert part.tokens.ids.tolist() == [0, 1, 2, 3, 4]


def test_without_a_ratio_all_rows_are_kept() -> None:
    part, medians = without_outliers(planted(NORMS), settings_of(), Checkpoint())
    assert (len(part), medians) == (5, ())


def test_the_residual_stream_is_read_for_outliers_even_if_it_is_not_stored(
    model: PreTrainedModel, documents: list[Document]
) -> None:
    settings = settings_of(sites=["mlp_in"], max_norm_ratio=1.2)
    whole = read_part(model, documents, settings)
    part, medians = without_outliers(whole, settings, Checkpoint())
    norms = torch.stack([whole.activations["resid", layer].norm(dim=1) for layer in (0, 2)], dim=1)
    usual = (norms <= 1.2 * torch.tensor(medians)).all(dim=1)
    assert 0 < len(part) < len(whole)
    assert set(part.activations) == {("mlp_in", 0), ("mlp_in", 2)}
    assert torch.equal(part.activations["mlp_in", 0], whole.activations["mlp_in", 0][usual])


@pytest.fixture
def part_of() -> Callable[[torch.Tensor], Part]:
    def build(rows: torch.Tensor) -> Part:
        return Part({HookPoint("resid", 5): rows}, StoredTokens(*(np.arange(len(rows), dtype=np.int32),) * 3))

    return build


def test_values_beyond_the_stored_dtype_are_refused(part_of: Callable[[torch.Tensor], Part]) -> None:
    large = torch.full((2, 3), 1e5)
    check_finite(part_of(large.bfloat16()))
    with pytest.raises(UnweaveError, match="resid at layer 5: has values that float16 cannot hold: set `store_dtype`"):
        check_finite(part_of(large.half()))
