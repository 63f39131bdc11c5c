import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from unweave.activations.store import StoredTokens
from unweave.activations.writer import write_store
from unweave.errors import UnweaveError

N, D = 600, 5
X = torch.randn(N, D, generator=torch.Generator().manual_seed(0))
TOKENS = StoredTokens(*(np.arange(N, dtype=np.int32),) * 3)


def write(path: Path, x: torch.Tensor = X, tokens: StoredTokens = TOKENS) -> Path:
    write_store(path, {"model": "tiny"}, tokens, D, x.dtype, {0: x.split(250)})
    return path


def test_data_lies_in_chunks_of_whole_rows_with_checksums_and_without_compression(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.h5", X.bfloat16()), "r") as file:
        acts = file["acts/0"]
        assert (acts.dtype, acts.chunks, acts.fletcher32, acts.compression) == (np.uint16, (256, D), True, None)
        assert file["tokens/id"].fletcher32
        assert file["stats/0/raw/covariance"].dtype == np.float64
        assert file["stats/0/unit/mean"].shape == (D,)


def test_the_same_content_gives_the_same_bytes_at_another_time(tmp_path: Path) -> None:
    one = write(tmp_path / "one.h5").read_bytes()
    time.sleep(1.1)  # HDF5 keeps times in seconds
    assert write(tmp_path / "other.h5").read_bytes() == one


def test_a_file_of_few_rows_is_not_padded_to_a_chunk(tmp_path: Path) -> None:
    tokens = StoredTokens(*(np.arange(3, dtype=np.int32),) * 3)
    with h5py.File(write(tmp_path / "a.h5", X[:3], tokens), "r") as file:
        assert file["acts/0"].chunks == (3, D)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.cat([X[:-1], torch.full((1, D), torch.inf)]), UnweaveError, "does not read back"),
        (X[:500], ValueError, "layer 0: 500 rows for 600 tokens"),
    ],
    ids=["infinite", "too few rows"],
)
def test_a_file_that_is_not_right_never_appears(
    tmp_path: Path, x: torch.Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        write(tmp_path / "a.h5", x)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_failed_writing_leaves_an_earlier_file_alone(tmp_path: Path) -> None:
    before = write(tmp_path / "a.h5").read_bytes()
    with pytest.raises(UnweaveError):
        write(tmp_path / "a.h5", X * torch.nan)
    assert (tmp_path / "a.h5").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
