import json
import re

import pytest

from unweave.errors import UnweaveError
from unweave.explorer.site import Directions, neighbours_of, read_directions


def content(path):
    """What a data file hands over, read as JSON."""
    text = path.read_text(encoding="utf-8")
    call = re.fullmatch(r"unweave\.receive\(\.\.\.(.*)\);\n", text)
    key, data = json.loads(call[1])
    return key, data


@pytest.fixture
def table(site):
    return lambda method: content(site / f"data/tiny/resid/L1/{method}/seed0/table.js")[1]


def test_every_data_file_names_its_own_place(site):
    files = [*site.glob("data/**/*.js"), *site.glob("shared/**/*.js")]
    assert len(files) > 20
    assert {content(file)[0] for file in files} == {file.relative_to(site).as_posix() for file in files}


def test_no_data_file_holds_markup(site):
    assert not [file for file in site.glob("[ds][ah]*/**/*.js") if "<" in file.read_text(encoding="utf-8")]


def test_the_page_refers_to_its_own_files_alone(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'(?:src|href)="([^"#]+)"', text)
    assert all((site / name).is_file() for name in named if name != "data:,")
    assert "script-src 'self';" in text
    assert "unsafe" not in text
    assert not re.findall(r"<script(?![^>]* src=)|\son\w+=|<style|\sstyle=", text)


def test_a_feature_is_known_by_the_word_that_it_stands_for(table):
    axes = table("axes")
    assert axes["labels"][1][0] == "bank"
    assert axes["labels"][12][0] == "<script>hacked=1</script>"


def test_what_an_evaluation_named_stands_in_the_table(table):
    axes = table("axes")
    assert axes["explanation"][1] == "<i>word</i>: bank"
    assert axes["score"][1] == 0.75
    assert axes["explanation"][2] is None
    assert "explanation" not in table("bits")


def test_bits_have_an_entropy_and_a_sum_of_it(table):
    bits = table("bits")
    assert all(0 < entropy < 1 for entropy in bits["entropy"])
    assert bits["facts"]["bits"]["summed"] == pytest.approx(sum(bits["entropy"]), rel=0.01)
    assert bits["facts"]["bits"]["dependent"] < bits["facts"]["bits"]["summed"]
    assert "entropy" not in table("axes")


def test_features_that_never_fire_are_left_out(table):
    assert table("bits")["ids"] == list(range(15))
    assert table("bits")["facts"]["features"] == 16


def test_a_limit_leaves_evenly_spaced_features(inputs, planted, explore_into, tmp_path):
    for name in ("model", "text", "resid.h5"):
        (tmp_path / name).symlink_to(inputs / name)
    ids = content(explore_into(tmp_path, "many", planted["many"], features=10))[1]["ids"]
    assert len(ids) == 10
    assert (ids[0], ids[-1]) == (0, 349)


def test_the_same_inputs_give_the_same_bytes(inputs, planted, explore_into, site):
    folder = site / "data/tiny/resid/L1/groups/seed0"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    explore_into(inputs, "groups", planted["groups"])
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_the_same_word_is_nearest_in_every_dictionary_of_the_space(site):
    _, shard = content(site / "shared/neighbours/tiny/resid/L1/axes/seed0/0.js")
    others = dict(map(tuple, shard[3]))
    assert others[1][:2] == [3, 1.0]
    assert others[3][:2] == [3, 1.0]
    assert 0 not in others


def test_directions_of_another_space_are_no_neighbours():
    import torch

    own = Directions(torch.eye(2), signed=False, space="tiny/resid/L1")
    other = Directions(torch.eye(2), signed=False, space="tiny/mlp_out/L1")
    assert neighbours_of(0, [own, other]) == [[], []]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"damaged",
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: content.replace(b"/resid/", b"/reside", 1),
    ],
)
def test_damaged_directions_are_refused_with_the_mend(site, tmp_path, damage):
    found = next(site.rglob("directions.safetensors"))
    (tmp_path / "directions.safetensors").write_bytes(damage(found.read_bytes()))
    with pytest.raises(UnweaveError, match=r"directions\.safetensors: missing or damaged .* run again"):
        read_directions(tmp_path / "directions.safetensors")
