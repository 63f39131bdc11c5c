from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from unweave.activations.memory import InMemoryActivations
from unweave.activations.store import StoredActivations, StoredTokens, read_attributes, read_tokens
from unweave.activations.writer import write_store
from unweave.errors import UnweaveError

N, D = 700, 6
X = torch.randn(N, D, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
TOKENS = StoredTokens(
    ids=np.arange(N, dtype=np.int32),
    docs=np.arange(N, dtype=np.int32) // 50,
    positions=np.arange(N, dtype=np.int32) % 50,
)


def write(path: Path, dtype: torch.dtype = torch.bfloat16) -> Path:
    x = X.to(dtype)
    rows = {3: iter(x.split(300)), 7: iter((2 * x).split(450))}
    write_store(path, {"model": "tiny", "layers": [3, 7]}, TOKENS, D, dtype, rows)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "resid.h5")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("size", [1, 256, 300, 8192])
def test_rows_come_back_as_float32_blocks_in_stored_order(tmp_path: Path, dtype: torch.dtype, size: int) -> None:
    activations = StoredActivations(write(tmp_path / "resid.h5", dtype), 7)
    blocks = list(activations.blocks(size))
    assert {block.dtype for block in blocks} == {torch.float32}
    assert all(len(block) == size for block in blocks[:-1])
    assert torch.equal(torch.cat(blocks), (2 * X.to(dtype)).float())
    assert (activations.n, activations.d) == (N, D)


@pytest.mark.parametrize("row_norm", [False, True])
def test_stored_statistics_are_those_of_the_stored_rows(path: Path, row_norm: bool) -> None:
    found = StoredActivations(path, 3).statistics(row_norm=row_norm)
    expected = InMemoryActivations(X).statistics(row_norm=row_norm)
    assert found.n == N
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-6)
    np.testing.assert_allclose(found.covariance, expected.covariance, atol=1e-6)
    np.testing.assert_allclose(found.mean_norm, expected.mean_norm, rtol=1e-6)


def test_tokens_and_attributes_come_back(path: Path) -> None:
    found = read_tokens(path)
    for name in ("ids", "docs", "positions"):
        np.testing.assert_array_equal(getattr(found, name), getattr(TOKENS, name))
    assert read_attributes(path) == {
        "schema": "activations/1",
        "model": "tiny",
        "layers": [3, 7],
        "width": D,
        "stored_dtype": "bfloat16",
        "filters": "fletcher32",
    }


def test_a_missing_layer_is_named_with_those_that_are_there(path: Path) -> None:
    with pytest.raises(UnweaveError, match=r"resid\.h5: has no layer 5, only 3, 7: add it"):
        StoredActivations(path, 5)


def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UnweaveError, match="no such activation file: make it with `snakemake"):
        read_tokens(tmp_path / "resid.h5")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def replace_by_text(path: Path) -> None:
    path.write_text("not HDF5")


def flip_a_bit_of_the_rows(path: Path) -> None:
    content = bytearray(path.read_bytes())
    at = content.index(X[:4].view(torch.uint16).numpy().tobytes())
    content[at] ^= 1
    path.write_bytes(content)


def lose_the_tokens(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["tokens"]


def read_all(path: Path) -> None:
    read_tokens(path)
    StoredActivations(path, 3).rows()


@pytest.mark.parametrize("damage", [truncate, replace_by_text, flip_a_bit_of_the_rows, lose_the_tokens])
def test_a_damaged_file_is_one_clear_line(path: Path, damage: Callable[[Path], None]) -> None:
    damage(path)
    with pytest.raises(UnweaveError, match=r"resid\.h5: truncated or damaged .*: delete it and run") as error:
        read_all(path)
    assert "\n" not in str(error.value)


def replaced(name: str, content: object, **options: object) -> Callable[[h5py.File], None]:
    def replace(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file.create_dataset(name, data=content, **options)

    return replace


def with_attribute(place: str, name: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file[place].attrs.__setitem__(name, value)


def hold_a_group_for_a_layer(file: h5py.File) -> None:
    del file["acts/3"]
    file.create_group("acts/3/7")


TEXTS = np.full((N, D), "a", dtype=object)
HOSTILE = {
    "a layer that is no number": (replaced("acts/x", X.float().numpy()), "acts/x is no layer"),
    "rows of one dimension": (replaced("acts/3", np.ones(N, np.uint16)), r"acts/3 is uint16 \(700,\), not uint16"),
    "rows of another width": (replaced("acts/3", np.ones((N, 5), np.uint16)), r"not uint16 \(700, 6\)"),
    "fewer rows than tokens": (replaced("acts/7", np.ones((9, D), np.uint16)), r"acts/7 is uint16 \(9, 6\), not"),
    "a group for a layer": (hold_a_group_for_a_layer, "no table acts/3"),
    "layers that are a table": (replaced("acts", np.ones(5)), "is not laid out as an activation file"),
    "bytes for rows": (replaced("acts/3", np.full((N, D), b"a")), r"acts/3 is \|S1"),
    "texts for rows": (replaced("acts/3", TEXTS, dtype=h5py.string_dtype()), "acts/3 is object"),
    "ragged rows": (replaced("acts/3", None, shape=(2, 2), dtype=h5py.vlen_dtype(np.float32)), "acts/3 is object"),
    "float32 rows said to be bfloat16": (replaced("acts/3", X.float().numpy()), "is float32 .*, not uint16"),
    "bfloat16 rows said to be float32": (with_attribute("/", "stored_dtype", "float32"), "is uint16 .*, not float32"),
    "an unknown type": (with_attribute("/", "stored_dtype", "int8"), "truncated or damaged .*'int8'"),
    "a width that is text": (with_attribute("/", "width", "six"), "'six'"),
    "tokens that are a table": (replaced("tokens", np.arange(N)), "no table tokens/id"),
    "fewer documents than tokens": (replaced("tokens/doc", TOKENS.docs[:3]), r"tokens/doc is int32 \(3,\), not int32"),
    "positions that are not whole": (replaced("tokens/pos", np.ones(N)), "tokens/pos is float64"),
    "moments of another width": (replaced("stats/3/unit/mean", np.ones(5)), "stats/3/unit/mean is float64"),
    "a mean norm that is text": (with_attribute("stats/7", "mean_norm", "x"), "mean_norm of stats/7 is 'x', not"),
    "several schemas": (with_attribute("/", "schema", ["activations/1", "b"]), "its schema is array"),
    "documents that are a table": (replaced("documents", np.arange(N)), "no table documents/start"),
}


@pytest.mark.parametrize("change", HOSTILE)
def test_a_file_of_another_layout_is_refused_before_anything_is_read(path: Path, change: str) -> None:
    spoil, refusal = HOSTILE[change]
    with h5py.File(path, "a") as file:
        spoil(file)
    for read in (read_attributes, read_tokens, lambda path: StoredActivations(path, 3)):
        with pytest.raises(UnweaveError, match=rf"resid\.h5: .*{refusal}.*: delete it and run") as error:
            read(path)
        assert "\n" not in str(error.value)


def test_no_text_lies_in_a_heap_that_hdf5_does_not_check(path: Path) -> None:
    with h5py.File(path) as file:
        assert not any(file.attrs.get_id(name).dtype.hasobject for name in file.attrs)
    assert b"GCOL" not in path.read_bytes()


def test_texts_of_earlier_files_are_read_too(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["model"] = "tiny é"
    assert read_attributes(path)["model"] == "tiny é"


def test_a_file_of_another_schema_is_refused(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = "activations/0"
    with pytest.raises(UnweaveError, match="its schema is 'activations/0', not 'activations/1'"):
        StoredActivations(path, 3)


def test_several_readers_and_a_replacement_do_not_disturb_one_another(path: Path) -> None:
    old = StoredActivations(path, 3).blocks(100)
    first = next(old)
    write(path, torch.float32)
    assert torch.equal(torch.cat([first, *old]), X.float())
