import json

import pytest
import torch
from safetensors.torch import save_file
from tests.faults.damage import each_bit_flipped

from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint

TENSORS = {"W": torch.arange(6.0).reshape(2, 3), "step": torch.tensor(7), "codes": torch.tensor([True, False])}
FACTS = {"step": 7, "curves": {"loss": [0.1 + 0.2, 1e-300, 3.0]}, "points": [1, 4, 7]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "folder" / ".checkpoint"
    Checkpoint(path, "fit", interval_s=0).save(TENSORS, FACTS)
    return path


def test_what_was_kept_comes_back_to_the_last_bit(path):
    tensors, facts = Checkpoint(path, "fit").load()
    assert facts == FACTS
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_tensors_may_be_views_with_any_strides(tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint", "fit")
    whole = torch.arange(12.0).reshape(3, 4)
    checkpoint.save({"transposed": whole.T, "column": whole[:, 1]}, {})
    tensors, _ = checkpoint.load()
    assert torch.equal(tensors["transposed"], whole.T)
    assert torch.equal(tensors["column"], whole[:, 1])


def test_saving_again_replaces_the_state_and_leaves_one_file(path):
    Checkpoint(path, "fit").save({"W": torch.ones(1)}, {"step": 8})
    assert Checkpoint(path, "fit").load()[1] == {"step": 8}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_state_stays_as_it_was_when_saving_fails(path):
    with pytest.raises(TypeError):
        Checkpoint(path, "fit").save({"W": torch.ones(1)}, {"step": object()})
    assert Checkpoint(path, "fit").load()[1] == FACTS


def test_another_fit_does_not_get_it(path):
    assert Checkpoint(path, "another fit").load() is None


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_damaged_file_counts_as_none(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    assert Checkpoint(path, "fit").load() is None


def test_no_flipped_bit_changes_what_comes_back(tmp_path):
    path = tmp_path / "checkpoint"
    checkpoint = Checkpoint(path, "fit")
    checkpoint.save({"W": torch.ones(2), "on": torch.tensor(True)}, {"step": 120})
    for _ in each_bit_flipped(path):
        found = checkpoint.load()
        if found is not None:
            tensors, facts = found
            assert facts == {"step": 120}
            assert {name: (x.dtype, x.tolist()) for name, x in tensors.items()} == {
                "W": (torch.float32, [1.0, 1.0]),
                "on": (torch.bool, True),
            }


def test_a_file_of_something_else_counts_as_none(path):
    save_file({"W": torch.ones(1)}, path)
    assert Checkpoint(path, "fit").load() is None


def test_a_file_whose_header_has_no_hash_counts_as_none(tmp_path):
    content = {"metadata": {"identity": "fit", "facts": "{}"}, "sha256": {}}
    save_file({"W": torch.ones(1)}, tmp_path / "checkpoint", {"unweave": json.dumps(content)})
    assert Checkpoint(tmp_path / "checkpoint", "fit").load() is None


def test_there_is_nothing_before_the_first_save_and_after_the_fit(path):
    checkpoint = Checkpoint(path, "fit")
    checkpoint.remove()
    checkpoint.remove()
    assert checkpoint.load() is None


def test_it_is_due_when_the_interval_has_passed_since_the_last_save(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    checkpoint = Checkpoint(tmp_path / "checkpoint", "fit", interval_s=60)
    assert not checkpoint.due
    now = 160.0
    assert checkpoint.due
    checkpoint.save(TENSORS, FACTS)
    assert not checkpoint.due


def test_without_a_path_nothing_is_ever_kept():
    NOTHING_KEPT.save(TENSORS, FACTS)
    assert not NOTHING_KEPT.due
    assert NOTHING_KEPT.load() is None
    NOTHING_KEPT.remove()
