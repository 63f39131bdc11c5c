"""Layers that are harvested in turn, and activations that are never stored."""

import pytest

from unweave.files import sha256_of

pytestmark = pytest.mark.workflow

CONFIG = """
registry: config
corpora:
  some: {dataset: news, split: train, tokens: 700, context: 64}
  computed: {dataset: news, split: train, tokens: 700, context: 64, stored: false}
harvest:
  smollm2: {sites: [resid], layers: [0, 1], GROUPS, compute_dtype: float32, store_dtype: float32}
dictionaries:
  - {model: smollm2, corpus: some, site: resid, layers: [0, 1], methods: [pca]}
  - {model: smollm2, corpus: CORPUS, site: resid, layers: [1], methods: [pca-rownorm]}
evaluations:
  - {evaluation: nongaussianity, corpora: [some], methods: [pca]}
"""


def run(checkout, groups: str, corpus: str):
    text = CONFIG.replace("GROUPS", groups).replace("CORPUS", corpus)
    (checkout.folder / "groups.yaml").write_text(text, encoding="utf-8")
    call = checkout.snakemake("--cores", "2", "--configfile", "groups.yaml", profile="default")
    assert call.status == 0, call.output
    return call


def hashes(checkout):
    folder = checkout.folder / "results"
    found = [
        *folder.glob("dictionaries/smollm2/resid/L[01]/**/*.safetensors"),
        *folder.glob("scores/*/*/*/L[01]/**/*.parquet"),
    ]
    return {str(path.relative_to(folder)): sha256_of(path) for path in found}


def test_groups_of_layers_follow_each_other_and_end_in_the_same_content(finished):
    call = run(finished, "layers_at_once: 1", "computed")
    order = [(rule, wildcards.get("layer")) for rule, wildcards in call.jobs]
    second = next(place for place, (rule, _) in enumerate(order) if rule == "harvest_smollm2_L1-1")
    assert all(place < second for place, (_, layer) in enumerate(order) if layer == "0")
    assert not list((finished.folder / "results/activations/smollm2").glob("L*/**/*.h5"))
    in_groups = hashes(finished)
    assert len(in_groups) == 5
    for path in in_groups:
        (finished.folder / "results" / path).unlink()
    for manifest in (finished.folder / "results/dictionaries/smollm2/resid").glob("L[01]/**/manifest.json"):
        manifest.unlink()
    run(finished, "layers_at_once: null", "some")
    together = hashes(finished)
    # The scores name the hash of the settings, not of the files: equal dictionaries have equal scores.
    assert {path: value for path, value in together.items() if "rownorm" not in path} == {
        path: value for path, value in in_groups.items() if "rownorm" not in path
    }
    assert set(together) == set(in_groups)


def test_an_evaluation_of_what_is_not_stored_is_refused(finished):
    text = CONFIG.replace("GROUPS", "").replace("CORPUS", "some").replace("corpora: [some]", "corpora: [computed]")
    (finished.folder / "groups.yaml").write_text(text.replace("[0, 1], , ", "[0, 1], "), encoding="utf-8")
    call = finished.dry_run("--configfile", "groups.yaml", profile="default")
    assert call.status != 0
    assert "corpora.computed.stored" in call.output
