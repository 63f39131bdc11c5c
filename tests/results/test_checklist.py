import pytest
import yaml

from unweave.config import PROJECT
from unweave.errors import UnweaveError
from unweave.plan import read_figures
from unweave.results.checklist import PrintedItem, read, table

FIGURES = read_figures(PROJECT / "config/figures.yaml")


def test_every_item_that_a_notebook_makes_is_on_the_list_and_back():
    found = table(read(), FIGURES)
    made = found[found["status"] == "made"]
    assert len(made) >= sum(map(len, FIGURES.values()))
    assert all((PROJECT / path).is_file() for path in made["notebook"])
    assert (found.loc[found["status"] == "not made", "reason"].str.len() > 5).all()


def test_an_item_that_is_made_and_not_listed_is_refused():
    items = read()
    items["ica"] = [entry for entry in items["ica"] if entry.item != "tpp"]
    with pytest.raises(UnweaveError, match=r"ica: lacks tpp, which figures.yaml makes"):
        table(items, FIGURES)


def test_an_item_that_is_listed_and_not_made_is_refused():
    items = {**read(), "sasa": [*read()["sasa"], PrintedItem(printed="Figure 9", shows="x", item="fig9")]}
    with pytest.raises(UnweaveError, match=r"sasa: names fig9, which figures\.yaml lacks"):
        table(items, FIGURES)


def test_an_item_without_a_maker_or_a_reason_is_refused(tmp_path):
    path = tmp_path / "checklist.yaml"
    path.write_text(yaml.safe_dump({"ica": [{"printed": "Figure 1", "shows": "x"}]}))
    with pytest.raises(UnweaveError, match=r"checklist\.yaml: ica\.0: .*either `item` or `not_made`"):
        read(path)
