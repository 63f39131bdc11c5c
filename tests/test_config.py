import copy
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from unweave import config, schemas
from unweave.config import PROJECT, Plan
from unweave.errors import UnweaveError

EMBEDDED = yaml.safe_load((PROJECT / "config/config.yaml").read_text(encoding="utf-8"))


def test_the_embedded_configuration_is_valid_and_fits_every_method_once_per_layer():
    plan = Plan(EMBEDDED)
    assert len(plan.fits) == sum(len(part["layers"]) * len(part["methods"]) for part in EMBEDDED["dictionaries"])
    assert len(set(plan.scores)) == len(plan.scores)


def test_the_committed_schemas_are_those_of_the_code():
    assert {
        path.relative_to(config.SCHEMAS): path.read_text(encoding="utf-8") for path in config.SCHEMAS.rglob("*.json")
    } == schemas.generated(), "run `make schemas`"


@pytest.mark.parametrize("name", ["models", "datasets", "methods", "evaluations", "figures", "config", "ci"])
def test_every_yaml_file_passes_its_published_schema(name):
    import jsonschema

    schema = json.loads(
        (config.SCHEMAS / f"{'config' if name == 'ci' else name}.schema.json").read_text(encoding="utf-8")
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
    content["dictionaries"][0]["site"] = "mlp_out"
    with pytest.raises(UnweaveError, match=r"mlp_out is not harvested; add it to harvest.smollm2.sites"):
        Plan(content)


def test_a_missing_registry_is_named():
    content = {**EMBEDDED, "registry": "nowhere"}
    with pytest.raises(UnweaveError, match=r"nowhere/models.yaml: no such file"):
        Plan(content)
