import pickle
from pathlib import Path

import pytest

from unweave.datasets.document import Document
from unweave.datasets.readers.staicc import read
from unweave.errors import UnweaveError


def written(tmp_path: Path, value: object) -> Path:
    path = tmp_path / "words.dataset"
    path.write_bytes(pickle.dumps(value))
    return path


def test_inputs_of_an_item_are_joined_and_labels_stay_indices(tmp_path: Path) -> None:
    path = written(tmp_path, [(["premise", "hypothesis"], 0), (["only #39;one"], 1)])
    assert list(read(path)) == [Document("premise hypothesis", 0, "1"), Document("only #39;one", 1, "2")]
    assert [document.text for document in read(path, clean=["markup"])] == ["premise hypothesis", "only'one"]


@pytest.mark.parametrize("item", ["text", ("text", 0), (["text"], "0"), (["text"],), ([1, 2], 0), ([b"text"], 0)])
def test_another_layout_is_refused(tmp_path: Path, item: object) -> None:
    with pytest.raises(UnweaveError, match="item 2 is not a pair"):
        list(read(written(tmp_path, [(["fine"], 0), item])))


@pytest.mark.parametrize("value", [7, "text", {"a": 1}])
def test_a_pickle_that_is_no_list_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(UnweaveError, match="not a list of items"):
        list(read(written(tmp_path, value)))
