import pytest

pytestmark = pytest.mark.workflow

MISTAKES = {
    "an unknown model": ("harvest:\n  smollm2:", "harvest:\n  llama9:", "unknown model 'llama9'; known: "),
    "a missing layer": (
        "layers: [2]\n    max",
        "layers: [40]\n    max",
        "layer 40 is missing, smollm2 has blocks 0 to 29",
    ),
    "a layer that is not harvested": (
        "layers: [2]\n    methods",
        "layers: [3]\n    methods",
        "layer 3 is not harvested",
    ),
    "an unknown method": ("[ica-v2, pca, random]", "[ica-v9, pca]", "unknown method 'ica-v9'; known: "),
    "a wrong type": ("tokens: 3000", "tokens: many", "corpora.news.tokens"),
    "a negative number": ("tokens: 3000", "tokens: -1", "corpora.news.tokens"),
    "an unknown key": ("tokens: 3000", "tokns: 3000", "corpora.news.tokns: unknown key"),
    "an unknown figure": ("[fig3_nongaussianity,", "[fig99,", "unknown figure 'fig99'; known: "),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_configuration_is_one_clear_line(fresh, mistake):
    before, after, message = MISTAKES[mistake]
    fresh.edit("config/ci.yaml", lambda text: text.replace(before, after, 1))
    call = fresh.dry_run()
    assert call.status != 0
    (line,) = [line for line in call.output.splitlines() if line.startswith("error: ")]
    assert "config/ci.yaml" in line
    assert message in line
    assert "Traceback" not in call.output
    assert not (fresh.folder / "results").exists()


def appended(text):
    return lambda before: before + text


ASKS_TO_RUN = "__use_yte__: true\nregistry: ?open('ran', 'w').name\n"
SPOILT = {
    "a key twice": (appended("frozen: true\nfrozen: false\n"), "line", "frozen stands twice"),
    "a day that never was": (appended("day: 2001-99-99\n"), "", "is not valid YAML"),
    "a list that does not end": (appended("broken: [1,\n"), "line", "is not valid YAML"),
    "code to run": (lambda text: text.replace("registry: config\n", ASKS_TO_RUN), "", "__use_yte__: unknown key"),
    "no keys": (lambda _: "- news\n", "", "must map keys to values"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_the_default_configuration_is_read_by_the_checked_reader_alone(fresh, kind):
    change, *messages = SPOILT[kind]
    fresh.edit("config/config.yaml", change)
    call = fresh.dry_run(profile="default")
    assert call.status != 0
    (line,) = [line for line in call.output.splitlines() if line.startswith("error: ")]
    assert all(message in line for message in ("config/config.yaml: ", *messages))
    assert "Traceback" not in call.output
    assert not (fresh.folder / "ran").exists()


def test_what_snakemake_reads_first_is_read_again_by_the_checked_reader(fresh):
    fresh.edit("config/ci.yaml", lambda text: text.replace("tokens: 3000", "tokens: 3000\n    tokens: 7", 1))
    call = fresh.dry_run()
    assert call.status != 0
    assert "error: config/ci.yaml: line 11: tokens stands twice" in call.output


def test_a_wrong_setting_of_a_method_is_refused_before_any_work(fresh):
    fresh.edit(
        "config/methods.yaml",
        lambda text: text.replace("    row_norm: false\n\npca-rownorm", "    colour: red\n\npca-rownorm", 1),
    )
    call = fresh.dry_run()
    assert call.status != 0
    assert "config/methods.yaml: pca: settings" in call.output
    assert "colour" in call.output


def test_a_registry_that_is_not_yaml_is_refused_with_its_line(fresh):
    fresh.edit("config/models.yaml", lambda text: text + "\nbroken: [1,\n")
    call = fresh.dry_run()
    assert call.status != 0
    assert "config/models.yaml: line" in call.output


def test_a_wrong_hash_stops_the_download_and_leaves_no_file(fresh):
    wrong = "f" * 64
    fresh.edit("config/models.yaml", lambda text: text.replace(text.split("sha256: ", 1)[1][:64], wrong, 1))
    call = fresh.snakemake("results/models/smollm2/manifest.json")
    assert call.status != 0
    assert "SHA-256 is not ffffffffffff" in call.output
    assert not list((fresh.folder / "results/downloads").glob("*"))


def test_without_a_network_the_download_says_so_and_leaves_no_file(fresh):
    nowhere = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "1",
        "PIP_FIND_LINKS": "",
        "PIP_CONFIG_FILE": "/dev/null",
    }
    call = fresh.snakemake("results/models/smollm2/manifest.json", **nowhere)
    assert call.status != 0
    assert "the package index cannot be reached" in call.output
    assert not list((fresh.folder / "results/downloads").glob("*"))
