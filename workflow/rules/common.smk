import json
import os
import sys
from pathlib import Path

PROJECT = Path(workflow.basedir)

# Jobs run the code of this checkout under the interpreter that runs Snakemake, installed and activated or not.
sys.path.insert(0, str(PROJECT / "src"))
for variable, folder in {"PYTHONPATH": PROJECT / "src", "PATH": Path(sys.executable).parent}.items():
    os.environ[variable] = os.pathsep.join([str(folder), *filter(None, [os.environ.get(variable)])])

try:
    from unweave.config import Plan, PypiSource
    from unweave.errors import UnweaveError
    from unweave.fingerprint import fingerprint, fingerprint_of_script
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}: install envs/requirements.txt and envs/torch.txt into this environment, or use `make figures`")

try:
    PLAN = Plan(config, where=", ".join(workflow.configfiles))
except UnweaveError as error:
    sys.exit(f"error: {error}")


wildcard_constraints:
    wheel="[A-Za-z0-9._-]+",
    model="|".join(PLAN.models),
    dataset="|".join(PLAN.datasets),
    corpus="|".join(PLAN.config.corpora),
    site="resid|mlp_in|mlp_neurons|mlp_out|attn_out",
    layer=r"\d+",
    method="|".join(PLAN.methods),
    evaluation="|".join(PLAN.evaluations),
    paper="|".join(PLAN.figures),
    item="|".join(item for items in PLAN.figures.values() for item in items),


MODEL = "results/models/{model}/manifest.json"
TEXT = "results/text/{dataset}/manifest.json"
ACTIVATIONS = "results/activations/{model}/{corpus}/{site}.h5"
DICTIONARY = "results/dictionaries/{model}/{site}/L{layer}/{method}/manifest.json"
SCORES = "results/scores/{evaluation}/{model}/{site}/L{layer}/{method}.parquet"
FIGURE = "figures/{paper}/{item}"


def spec(**content):
    """What a job needs to know, as one line of JSON. A change of it reruns the job."""
    return json.dumps(content, sort_keys=True)


def entry(registry, name):
    return registry[name].model_dump(mode="json")


def wheel_of(registry_entry):
    """The wheel that an entry is read from, or nothing if its source is not the package index."""
    source = registry_entry.source
    return f"results/downloads/{source.wheel}.whl" if isinstance(source, PypiSource) else []


def download_option(wildcards, input):
    return f"--download {input.download}" if input.get("download") else ""


def dataset_of(corpus):
    return PLAN.config.corpora[corpus].dataset


def scores_of(evaluation):
    """Score tables of one evaluation for every dictionary that it is run on."""
    return [
        SCORES.format(evaluation=name, model=model, site=site, layer=layer, method=method)
        for name, model, site, layer, method in PLAN.scores
        if name == evaluation
    ]


def figure_scores(paper, item):
    return [path for evaluation in PLAN.figures[paper][item].needs for path in scores_of(evaluation)]


def figure_targets(paper, item):
    """A figure's files and the scores behind it.

    The scores are named because Snakemake takes a figure that came with the clone for finished as long as nothing that it
    was drawn from exists.
    """
    stem = FIGURE.format(paper=paper, item=item)
    return [stem + suffix for suffix in (".png", ".svg", ".csv", ".ipynb")] + figure_scores(paper, item)


ALL_SCORES = [path for plan in PLAN.config.evaluations for path in scores_of(plan.evaluation)]
