"""Activations that are computed when they are read are those that a harvest would have stored."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unweave.activations import token_index
from unweave.activations.batches import Batches
from unweave.activations.harvest import harvest
from unweave.activations.opening import open_activations
from unweave.activations.store import StoredActivations, read_tokens
from unweave.activations.token_index import index_tokens
from unweave.config import CorpusSettings, HarvestSettings
from unweave.errors import UnweaveError

CPU = torch.device("cpu")


@pytest.fixture
def both(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """The same corpus with its activations stored, and with its tokens alone."""

    def both(drop: int = 1, **changes: Any) -> tuple[Path, Path]:
        settings = HarvestSettings(
            sites=["resid", "mlp_out"],
            layers=[1, 3],
            compute_dtype="float32",
            store_dtype="float32",
            batch_tokens=64,
            drop_positions=drop,
        )
        stages = {"stored": harvest, "tokens": index_tokens}
        for name, stage in stages.items():
            corpus = CorpusSettings.model_validate(
                {"dataset": "tiny", "split": "all", "context": 32, "stored": name == "stored", **changes}
            )
            outputs = {site: tmp_path / name / f"{site}.h5" for site in settings.sites}
            stage(model_folder, dataset_folder, corpus, settings, outputs, CPU, {})
        return tmp_path / "stored/resid.h5", tmp_path / "tokens/resid.h5"

    return both


@pytest.mark.parametrize("drop", [0, 1, 3])
@pytest.mark.parametrize("tokens", [None, 100])
def test_the_tokens_are_those_of_a_harvest(both: Callable[..., tuple[Path, Path]], drop: int, tokens: int | None):
    stored, index = (read_tokens(path) for path in both(drop, tokens=tokens))
    for name in ("ids", "docs", "positions"):
        np.testing.assert_array_equal(getattr(index, name), getattr(stored, name))


@pytest.mark.parametrize("drop", [0, 1, 3])
def test_the_rows_are_those_of_a_harvest_whatever_the_ranges(
    both: Callable[..., tuple[Path, Path]], model_folder: Path, drop: int
):
    stored_path, index_path = both(drop)
    stored, computed = StoredActivations(stored_path, 3), open_activations(index_path, 3, model_folder, CPU)
    assert (computed.n, computed.d, computed.site, computed.layer) == (stored.n, stored.d, "resid", 3)
    ranges = [(0, 1), (5, 90), (stored.n - 40, stored.n), (17, 18), (0, stored.n)]
    for ours, theirs in zip(computed.slices(ranges), stored.slices(ranges), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_second_site_can_be_the_target(both: Callable[..., tuple[Path, Path]], model_folder: Path):
    stored_path, index_path = both()
    target = open_activations(index_path.with_name("mlp_out.h5"), 1, model_folder, CPU)
    expected = StoredActivations(stored_path.with_name("mlp_out.h5"), 1)
    torch.testing.assert_close(target.rows(), expected.rows(), rtol=1e-4, atol=1e-5)


def test_the_moments_are_those_of_the_first_rows(
    both: Callable[..., tuple[Path, Path]], model_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(token_index, "MOMENT_ROWS", 200)
    monkeypatch.setattr(token_index, "DOCUMENTS_AT_ONCE", 3)
    stored_path, index_path = both()
    first = StoredActivations(stored_path, 1).rows()[:200].double().numpy()
    moments = open_activations(index_path, 1, model_folder, CPU).statistics(row_norm=False)
    np.testing.assert_allclose(moments.mean, first.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(moments.covariance, np.cov(first.T, bias=True), atol=1e-4)


def test_training_reads_the_same_batches(both: Callable[..., tuple[Path, Path]], model_folder: Path):
    stored_path, index_path = both()
    stored, computed = StoredActivations(stored_path, 1), open_activations(index_path, 1, model_folder, CPU)
    batches = [Batches(source, 64, 0, CPU, memory_gb=0).starting_at(2) for source in (stored, computed)]
    for _ in range(2 * (stored.n // 64)):
        theirs, ours = (next(batch).x for batch in batches)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_file_of_tokens_is_small(both: Callable[..., tuple[Path, Path]]):
    stored, index = both()
    assert "acts" in keys(stored)
    assert "acts" not in keys(index)


def keys(path: Path) -> list[str]:
    import h5py

    with h5py.File(path) as file:
        return list(file)


def test_another_model_is_refused(
    both: Callable[..., tuple[Path, Path]], make_model: Callable[..., Path], tmp_path: Path
):
    _, index = both()
    with pytest.raises(UnweaveError, match="another model"):
        open_activations(index, 1, make_model(tmp_path / "other", seed=1), CPU)


def test_a_missing_layer_or_model_is_refused(both: Callable[..., tuple[Path, Path]], model_folder: Path):
    _, index = both()
    with pytest.raises(UnweaveError, match="has no layer 2"):
        open_activations(index, 2, model_folder, CPU)
    with pytest.raises(UnweaveError, match="--model"):
        open_activations(index, 1, None, CPU)


def test_outliers_cannot_be_dropped_unread(model_folder: Path, dataset_folder: Path, tmp_path: Path):
    settings = HarvestSettings(layers=[1], max_norm_ratio=10)
    corpus = CorpusSettings(dataset="tiny", split="all", context=32, stored=False)
    with pytest.raises(UnweaveError, match="keep_outliers"):
        index_tokens(model_folder, dataset_folder, corpus, settings, {"resid": tmp_path / "resid.h5"}, CPU, {})
    assert not list(tmp_path.iterdir())
