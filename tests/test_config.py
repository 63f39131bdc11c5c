import copy
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from unweave import config, schemas
from unweave.config import PROJECT, DictionaryPlan
from unweave.errors import UnweaveError
from unweave.plan import Plan, fits_of, read_plan

EMBEDDED = yaml.safe_load((PROJECT / "config/config.yaml").read_text(encoding="utf-8"))


def test_the_embedded_configuration_is_valid_and_fits_every_method_once_per_layer():
    plan = Plan(EMBEDDED)
    fits = [
        len(part["layers"]) * len(part["methods"]) * len(part.get("seeds", [0])) for part in EMBEDDED["dictionaries"]
    ]
    assert len(plan.fits) == sum(fits)
    assert len(set(plan.scores)) == len(plan.scores)


def test_the_committed_schemas_are_those_of_the_code():
    assert {
        path.relative_to(config.SCHEMAS): path.read_text(encoding="utf-8") for path in config.SCHEMAS.rglob("*.json")
    } == schemas.generated(), "run `make schemas`"


@pytest.mark.parametrize(
    "name", ["models", "datasets", "methods", "evaluations", "figures", "config", "ci", "benchmark"]
)
def test_every_yaml_file_passes_its_published_schema(name):
    import jsonschema

    schema = json.loads(
        (config.SCHEMAS / f"{'config' if name in ('ci', 'benchmark') else name}.schema.json").read_text(
            encoding="utf-8"
        )
    )
    jsonschema.validate(yaml.safe_load((PROJECT / f"config/{name}.yaml").read_text(encoding="utf-8")), schema)


@given(
    path=st.sampled_from(
        [("corpora",), ("harvest",), ("dictionaries",), ("evaluations",), ("corpora", "news"), ("harvest", "smollm2")]
    ),
    value=st.one_of(st.none(), st.integers(-5, 5), st.text(max_size=5), st.lists(st.integers()), st.booleans()),
)
def test_any_wrong_value_is_refused_in_one_line_that_names_its_key(path, value):
    content = copy.deepcopy(EMBEDDED)
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    if value == [] and path == ("evaluations",):
        return
    with pytest.raises(UnweaveError) as refusal:
        Plan(content, where="config.yaml")
    assert "\n" not in str(refusal.value)
    assert path[-1] in str(refusal.value)


@given(name=st.text(max_size=80).filter(lambda text: not text.replace("-", "a").replace("_", "a").isalnum()))
def test_names_that_could_leave_the_results_folder_are_refused(name):
    content = copy.deepcopy(EMBEDDED)
    content["corpora"][name] = content["corpora"]["news"]
    with pytest.raises(UnweaveError, match="corpora"):
        Plan(content)


def test_a_site_that_is_not_harvested_is_named_with_the_mend():
    content = copy.deepcopy(EMBEDDED)
    content["dictionaries"][0]["site"] = "attn_out"
    with pytest.raises(UnweaveError, match=r"attn_out is not harvested; add it to harvest.smollm2.sites"):
        Plan(content)


def changed(place, value):
    """The embedded configuration with one value replaced; `place` is its path."""
    content = copy.deepcopy(EMBEDDED)
    *path, last = place
    part = content
    for key in path:
        part = part[key]
    part[last] = value
    return content


def test_a_layer_that_a_site_lacks_is_named_with_the_mend():
    content = changed(["harvest", "smollm2", "sites"], ["resid", "mlp_out"])
    content["harvest"]["smollm2"]["layers_at"] = {"mlp_out": [2]}
    content["dictionaries"] = [
        {"model": "smollm2", "corpus": "news", "site": "mlp_out", "layers": [10], "methods": ["pca"]}
    ]
    with pytest.raises(UnweaveError, match=r"layer 10 is not harvested at mlp_out; add it to .*layers_at.mlp_out"):
        Plan(content)
    content["harvest"]["smollm2"]["layers_at"] = {"mlp_out": [29]}
    with pytest.raises(UnweaveError, match=r"layers_at.mlp_out: layer 29 is not one of `layers`"):
        Plan(content)


def test_a_dictionary_that_stands_twice_is_refused():
    twice = [*EMBEDDED["dictionaries"], {**EMBEDDED["dictionaries"][0], "corpus": "ag-news"}]
    with pytest.raises(UnweaveError, match=r"dictionaries\[.*\].methods: .* stands twice"):
        Plan(changed(["dictionaries"], twice))


def test_an_evaluation_that_stands_twice_is_refused():
    twice = [*EMBEDDED["evaluations"], EMBEDDED["evaluations"][0]]
    with pytest.raises(UnweaveError, match=r"core stands twice"):
        Plan(changed(["evaluations"], twice))


def test_every_seed_is_a_dictionary_of_its_own():
    one = [{"model": "smollm2", "corpus": "news", "site": "resid", "layers": [2, 5], "methods": ["pca", "random"]}]
    alone = {"evaluations": [], "figures": {}, "explorer": None}
    plan = Plan({**changed(["dictionaries"], [{**one[0], "seeds": [0, 3]}]), **alone})
    assert len(plan.fits) == 8
    assert {fit.seed for fit in plan.fits} == {0, 3}


def test_an_evaluation_can_be_kept_to_some_methods():
    content = copy.deepcopy(EMBEDDED)
    content["evaluations"] = [{"evaluation": "reconstruction", "corpora": ["news-heldout"], "methods": ["pca"]}]
    content["dictionaries"] = content["dictionaries"][:1]
    content["figures"] = {}
    content["explorer"] = None
    assert {fit.method for _, fit in Plan(content).scores} == {"pca"}


def test_dictionaries_can_be_kept_to_some_evaluations():
    content = copy.deepcopy(EMBEDDED)
    content["dictionaries"][1]["evaluations"] = ["core"]
    limited = set(fits_of(DictionaryPlan.model_validate(content["dictionaries"][1])))
    every, kept = set(Plan(EMBEDDED).scores), set(Plan(content).scores)
    assert every - kept == {(name, fit) for name, fit in every if fit in limited and name != "core"}


FIT = {"model": "smollm2", "corpus": "news", "site": "resid", "layers": [2, 5], "methods": ["pca"]}


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"layers": [2, 999]}, r"\.layers: core has no dictionary to score for 999: leave it out, .* some for 2, 5$"),
        ({"methods": ["pca", "snmf"]}, r"\.methods: core has no dictionary to score for snmf: .* for bae, pca$"),
        ({"layers": [2], "methods": ["pca", "bae"]}, r"\.methods: core .* for bae: .* there are some for pca$"),
        ({"layers": [2, 5], "methods": ["bae"]}, r"\.layers: core .* for 2: .* there are some for 5$"),
    ],
)
def test_what_an_evaluation_names_and_no_dictionary_has_is_refused(named, message):
    content = changed(["dictionaries"], [FIT, {**FIT, "layers": [5], "methods": ["bae"]}])
    content |= {"evaluations": [{"evaluation": "core", "corpora": ["news-heldout"], **named}]}
    with pytest.raises(UnweaveError, match=rf"evaluations\[0\]{message}"):
        Plan({**content, "figures": {}, "explorer": None})


def test_an_evaluation_that_every_dictionary_leaves_out_is_refused():
    content = changed(["dictionaries"], [{**FIT, "evaluations": []}])
    content |= {"evaluations": [{"evaluation": "core", "corpora": ["news-heldout"], "methods": ["pca"]}]}
    with pytest.raises(UnweaveError, match=r"evaluations\[0\]\.evaluation: core has no dictionary to score: "):
        Plan({**content, "figures": {}, "explorer": None})


@pytest.mark.parametrize("path", sorted(PROJECT.glob("config/paper/*.yaml")), ids=lambda path: path.stem)
def test_the_papers_own_configurations_can_be_planned(path):
    assert read_plan([path]).scores


def test_an_evaluation_that_is_not_planned_cannot_be_asked_for():
    content = copy.deepcopy(EMBEDDED)
    content["dictionaries"][0]["evaluations"] = ["corr"]
    with pytest.raises(
        UnweaveError, match=r"dictionaries\[0\].evaluations: unknown evaluation of `evaluations` 'corr'"
    ):
        Plan(content)


def test_a_supervised_method_needs_a_labelled_corpus():
    content = copy.deepcopy(EMBEDDED)
    content["dictionaries"] = [
        {"model": "smollm2", "corpus": "news", "site": "resid", "layers": [2], "methods": ["diffmeans"]}
    ]
    with pytest.raises(UnweaveError, match=r"diffmeans learns labels, and news has none: choose a labelled one"):
        Plan(content)


def test_a_transcoder_needs_the_site_that_it_rebuilds():
    content = copy.deepcopy(EMBEDDED)
    content["harvest"]["smollm2"]["sites"] = ["resid", "mlp_in"]
    content["harvest"]["smollm2"]["layers_at"] = {}
    content["dictionaries"] = [
        {"model": "smollm2", "corpus": "news", "site": "mlp_in", "layers": [2], "methods": ["transcoder"]}
    ]
    with pytest.raises(UnweaveError, match=r"transcoder rebuilds mlp_out, which is not harvested; add it to"):
        Plan(content)


def test_the_explorer_shows_what_is_fitted_and_each_dictionary_once():
    shown = {"model": "smollm2", "site": "resid", "layer": 10, "methods": ["pca", "random"]}
    plan = Plan(changed(["explorer", "dictionaries"], [{**shown, "layer": 2}, shown]))
    assert [(fit.layer, fit.method) for fit in plan.explored] == [
        (2, "pca"),
        (2, "random"),
        (10, "pca"),
        (10, "random"),
    ]
    with pytest.raises(
        UnweaveError, match=r"explorer.dictionaries\[1\].methods: pca .* layer 3, seed 0, is not fitted"
    ):
        Plan(changed(["explorer", "dictionaries"], [shown, {**shown, "layer": 3}]))
    with pytest.raises(UnweaveError, match=r"explorer.dictionaries: a dictionary stands twice"):
        Plan(changed(["explorer", "dictionaries"], [shown, shown]))
    with pytest.raises(UnweaveError, match=r"explorer.corpora: unknown corpus 'novels'"):
        Plan(changed(["explorer", "corpora"], ["novels"]))


def test_a_run_without_an_explorer_shows_nothing():
    assert Plan({**EMBEDDED, "explorer": None}).explored == []


def test_a_missing_registry_is_named():
    content = {**EMBEDDED, "registry": "nowhere"}
    with pytest.raises(UnweaveError, match=r"nowhere/models.yaml: no such file"):
        Plan(content)


def test_what_a_later_file_and_the_call_say_goes_before_the_rest(tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(yaml.safe_dump(EMBEDDED), encoding="utf-8")
    second.write_text("corpora: {news: {tokens: 7, seed: 5}}\nexplorer: null\n", encoding="utf-8")
    read = read_plan([first, second], {"corpora": {"news": {"tokens": 8}}, "frozen": True}).config
    assert (read.corpora["news"].tokens, read.corpora["news"].seed) == (8, 5)
    assert read.corpora["news"].dataset == EMBEDDED["corpora"]["news"]["dataset"]
    assert read.corpora.keys() == EMBEDDED["corpora"].keys()
    assert (read.frozen, read.explorer) == (True, None)


@pytest.mark.parametrize("text", ["", "- news\n", "news\n"])
def test_a_configuration_without_keys_is_refused(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UnweaveError, match=r"mine.yaml: must map keys to values"):
        read_plan([tmp_path / "mine.yaml"])
