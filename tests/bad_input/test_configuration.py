"""Whatever stands in the configuration or a registry: a plan, or one line that names the place."""

import copy
import time

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unweave.config import PROJECT, LocalSource, read_yaml, validated
from unweave.errors import LONGEST, UnweaveError
from unweave.plan import Plan

EMBEDDED = yaml.safe_load((PROJECT / "config/ci.yaml").read_text(encoding="utf-8"))
EMBEDDED_SITES = EMBEDDED["harvest"]["smollm2"]["sites"]
REGISTRIES = ("models", "datasets", "methods", "evaluations", "figures")
CONTENT = {name: read_yaml(PROJECT / "config" / f"{name}.yaml") for name in REGISTRIES}

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=12),
    st.sampled_from(
        ["../../etc/passwd", "/abs", "a/b", "..", "x" * 100, "\x1b[31m", "a\nb", "\u202eevil", "😀", "con."]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.text(max_size=8), st.integers()), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(content, path=()):
    """Path of every value in nested mappings and lists."""
    found = [path] if path else []
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        found += places(value, (*path, key))
    return found


def changed(content, path, change):
    """A copy in which the container of the value at `path` was changed in place."""
    content = copy.deepcopy(content)
    part = content
    for key in path[:-1]:
        part = part[key]
    change(part, path[-1])
    return content


@st.composite
def mutations(draw, content):
    """The content with a value replaced, a key added, removed or renamed, or an entry of a list repeated."""
    path = draw(st.sampled_from(places(content)))
    value = draw(VALUES)
    kind = draw(st.sampled_from(["replace", "remove", "rename", "add", "repeat"]))

    def change(part, key):
        if kind == "replace":
            part[key] = value
        elif kind == "remove":
            del part[key]
        elif kind == "rename" and isinstance(part, dict):
            part[draw(SCALARS.filter(lambda name: name is None or isinstance(name, str | int)))] = part.pop(key)
        elif kind == "add" and isinstance(part, dict):
            part[draw(st.text(max_size=8))] = value
        elif isinstance(part, list):
            part.append(copy.deepcopy(part[key]))

    return changed(content, path, change)


def plan_or_refusal(content):
    """The plan, or the refusal, which must be one printable line of bounded length."""
    try:
        return Plan(content, where="config.yaml")
    except UnweaveError as error:
        refusal = str(error)
    assert refusal.isprintable()
    assert len(refusal) < LONGEST + 100
    assert "config.yaml" in refusal or "registry" in refusal or "/" in refusal
    return refusal


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(content=mutations(EMBEDDED))
def test_any_mutation_of_the_configuration_is_planned_or_refused_in_one_line(content):
    plan_or_refusal(content)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_mutation_of_a_registry_is_planned_or_refused_in_one_line(data, tmp_path_factory):
    name = data.draw(st.sampled_from(REGISTRIES))
    content = data.draw(mutations(CONTENT[name]))
    folder = tmp_path_factory.mktemp("registry")
    for other in REGISTRIES:
        (folder / f"{other}.yaml").write_text(
            yaml.safe_dump(content if other == name else CONTENT[other]), encoding="utf-8"
        )
    plan_or_refusal({**EMBEDDED, "registry": str(folder)})


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_registry_of_any_bytes_is_planned_or_refused_in_one_line(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    for name in REGISTRIES:
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(CONTENT[name]), encoding="utf-8")
    spoilt = folder / f"{data.draw(st.sampled_from(REGISTRIES))}.yaml"
    content = spoilt.read_bytes()
    place = data.draw(st.integers(0, len(content)))
    patch = data.draw(st.binary(min_size=1, max_size=6))
    spoilt.write_bytes(content[:place] + patch + content[place + data.draw(st.integers(0, 6)) :])
    plan_or_refusal({**EMBEDDED, "registry": str(folder)})


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("corpora", "news", "tokens"), -5, "corpora.news.tokens"),
        (("corpora", "news", "tokens"), True, "corpora.news.tokens"),
        (("corpora", "news", "tokens"), "3000", "corpora.news.tokens"),
        (("corpora", "news", "seed"), 2**40, "corpora.news.seed"),
        (("harvest", "smollm2", "layers"), [2, 999], "layer 999 is missing, smollm2 has blocks 0 to 29"),
        (("harvest", "smollm2", "sites"), ["resid", "mlp_in", "mlp_out", "resid"], "resid stands twice"),
        (("harvest", "smollm2", "layers"), [], "harvest.smollm2.layers: list should have at least 1 item"),
        (("harvest", "smollm2", "sites"), [], "harvest.smollm2.sites: value should have at least 1 item"),
        (("harvest", "smollm2", "layers_at"), {"resid": []}, "harvest.smollm2.layers_at.resid"),
        (
            ("harvest", "smollm2"),
            {"sites": EMBEDDED_SITES, "layers": [2, 3], "layers_at": {site: [2] for site in EMBEDDED_SITES}},
            "harvest.smollm2.layers: layer 3 is harvested at no site",
        ),
        (("registry",), "a\0b", "registry: value error, no file has a null character in its name"),
        (("registry",), "\ud800", "cannot be read as UTF-8 text"),
        (("evaluations", 0, "corpora"), ["news", "news"], "news stands twice"),
        (("figures", "ica"), ["sparse_probing", "sparse_probing"], "sparse_probing stands twice"),
        (("dictionaries", 0, "methods"), ["../pca"], "dictionaries[0].methods[0]"),
        (("dictionaries", 0, "seeds"), [2**31], "dictionaries[0].seeds[0]"),
    ],
)
def test_a_typical_mistake_is_named_with_its_key(path, value, message):
    def replace(part, key):
        part[key] = value

    assert message in plan_or_refusal(changed(EMBEDDED, path, replace))


@pytest.mark.parametrize("name", ["../escape", "a/b", "a|.*", "A", "", "x" * 65, "two words", "a\n", 7, None])
def test_a_name_of_a_registry_that_could_leave_its_folder_is_refused(name, tmp_path):
    for other in REGISTRIES:
        (tmp_path / f"{other}.yaml").write_text(yaml.safe_dump(CONTENT[other]), encoding="utf-8")
    content = {**CONTENT["methods"], name: CONTENT["methods"]["pca"]}
    (tmp_path / "methods.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    refusal = plan_or_refusal({**EMBEDDED, "registry": str(tmp_path)})
    assert "methods.yaml" in refusal
    assert "is no name: use lower-case letters" in refusal


@pytest.mark.parametrize("path", ["~nobody-has-this-name/x", "a\0b"])
def test_a_local_source_that_can_lie_nowhere_is_refused(path):
    with pytest.raises(UnweaveError, match=r"models.yaml: mine: path: value error, no "):
        validated(LocalSource, {"type": "local", "path": path}, "models.yaml: mine")


def test_a_nested_value_of_astronomic_size_is_refused_without_writing_it_out():
    bomb: list[object] = ["x"]
    for _ in range(60):
        bomb = [bomb, bomb]
    began = time.monotonic()
    assert "corpora" in plan_or_refusal({**EMBEDDED, "corpora": bomb})
    assert time.monotonic() - began < 5, "it was written out"


def test_a_name_as_long_as_a_book_is_not_repeated_in_full():
    assert "corpora" in plan_or_refusal({**EMBEDDED, "corpora": {"x" * 10_000_000: EMBEDDED["corpora"]["news"]}})
