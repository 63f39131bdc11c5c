from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from unweave.errors import UnweaveError
from unweave.evaluations.fit_curves import Settings, evaluate
from unweave.methods.dictionary import HISTORY_FILE, Fit, read_curves, save

LOSS = [float(x) for x in np.geomspace(9, 1, 300)]


@pytest.fixture
def folder(make_dictionary, tmp_path):
    history = {"loss": LOSS, "held_out": LOSS[:3]}
    save(Fit(make_dictionary(4), {}, history, [7 * step for step in range(1, 301)]), tmp_path / "fit", {})
    return tmp_path / "fit"


@pytest.fixture
def data(make_data, folder):
    return replace(make_data({}), curves=partial(read_curves, folder))


def test_curves_are_read_as_they_were_recorded(folder):
    curves = read_curves(folder)
    assert sorted(curves) == ["held_out", "loss"]
    assert curves["loss"].values.tolist() == LOSS
    assert curves["held_out"].steps.tolist() == [7, 14, 21]


def test_long_curves_are_thinned_between_their_ends_and_short_ones_are_whole(data, make_dictionary):
    scores = evaluate(make_dictionary(4), data, Settings(points=10), 0)
    loss = [(score.x, score.value) for score in scores if score.metric == "loss"]
    assert len(loss) == 10
    assert (loss[0], loss[-1]) == ((7, LOSS[0]), (2100, LOSS[-1]))
    assert loss == sorted(loss)
    assert [score.x for score in scores if score.metric == "held_out"] == [7, 14, 21]
    assert {score.x_name for score in scores} == {"step"}


def test_a_fit_without_curves_is_refused(make_data, make_dictionary):
    with pytest.raises(UnweaveError, match="recorded no curve"):
        evaluate(make_dictionary(4), make_data({}), Settings(), 0)


def test_a_damaged_record_is_refused(folder):
    path = folder / HISTORY_FILE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnweaveError, match=r"history.parquet: missing or damaged"):
        read_curves(folder)
