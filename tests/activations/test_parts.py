from pathlib import Path

import numpy as np
import pytest
import torch
from tests.faults.damage import each_bit_flipped

from unweave.activations.parts import Checkpoint, Part, PartFolder
from unweave.activations.store import StoredTokens
from unweave.models.hook_points import HookPoint

POINT = HookPoint("resid", 2)


def part(start: int, n: int) -> Part:
    counting = np.arange(start, start + n, dtype=np.int32)
    rows = torch.arange(start, start + n).to(torch.bfloat16)[:, None].expand(n, 4).contiguous()
    return Part({POINT: rows}, StoredTokens(counting, counting + 1, counting + 2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    parts = PartFolder(tmp_path / ".parts", {"model": "a"})
    parts.append(part(0, 3), Checkpoint(3, 0, 1, (1.5,)))
    parts.append(part(3, 2), Checkpoint(5, 4, 6, (1.5,)))
    return tmp_path / ".parts"


def test_a_reopened_folder_goes_on_where_it_stopped(folder: Path) -> None:
    parts = PartFolder(folder, {"model": "a"})
    assert parts.reached == Checkpoint(5, 4, 6, (1.5,))
    parts.append(part(5, 1), Checkpoint(6, 4, 7, (1.5,)))
    assert torch.cat(list(parts.rows(POINT)))[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert parts.tokens().positions.tolist() == [2, 3, 4, 5, 6, 7]


def test_parts_of_another_plan_are_thrown_away_with_a_word(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    parts = PartFolder(folder, {"model": "b"})
    assert parts.reached == Checkpoint()
    assert not folder.exists()
    assert "other settings or inputs: starting again" in caplog.text


def test_a_folder_whose_plan_is_lost_is_thrown_away(folder: Path) -> None:
    (folder / "plan.json").unlink()
    assert PartFolder(folder, {"model": "a"}).checkpoints == []


def test_only_parts_without_a_gap_before_them_count(folder: Path) -> None:
    (folder / "part-000000.safetensors").unlink()
    assert PartFolder(folder, {"model": "a"}).checkpoints == []


def test_no_flipped_bit_of_a_part_changes_what_was_read(tmp_path: Path) -> None:
    def found() -> list[object]:
        parts = PartFolder(tmp_path / ".parts", {})
        if not parts.checkpoints:
            return []
        rows, tokens = next(parts.rows(POINT)), parts.tokens()
        return [parts.reached, rows.dtype, rows.tolist(), tokens.ids, tokens.docs, tokens.positions]

    PartFolder(tmp_path / ".parts", {}).append(part(1, 1), Checkpoint(1, 0, 137, (1.5,)))
    whole = found()
    (path,) = (tmp_path / ".parts").glob("*.safetensors")
    for _ in each_bit_flipped(path):
        assert found() in ([], whole)


def test_nothing_is_written_before_the_first_part(tmp_path: Path) -> None:
    PartFolder(tmp_path / ".parts", {})
    assert list(tmp_path.iterdir()) == []


def test_rows_are_chosen_by_slice_and_by_mask() -> None:
    whole = part(0, 4)
    assert whole[:2].tokens.ids.tolist() == [0, 1]
    chosen = whole[torch.tensor([True, False, False, True])]
    assert chosen.tokens.docs.tolist() == [1, 4]
    assert chosen.activations[POINT][:, 0].tolist() == [0, 3]
