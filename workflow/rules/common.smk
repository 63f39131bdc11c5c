import json
import os
import sys
from functools import cache
from pathlib import Path

PROJECT = Path(workflow.basedir)

# Jobs run the code of this checkout under the interpreter that runs Snakemake, installed and activated or not.
sys.path.insert(0, str(PROJECT / "src"))
for variable, folder in {
    "PYTHONPATH": PROJECT / "src",
    "PATH": Path(sys.executable).parent,
}.items():
    os.environ[variable] = os.pathsep.join([str(folder), *filter(None, [os.environ.get(variable)])])

try:
    from unweave.config import SITES, ExplorerLimits, LocalSource, PypiSource
    from unweave.costs.bill import require_disk
    from unweave.costs.work import evaluation_work, fit_work, harvest_rule, harvest_work, model_work
    from unweave.devices import visible_gpus
    from unweave.errors import UnweaveError
    from unweave.fingerprint import fingerprint, fingerprint_of_script
    from unweave.plan import Fit, read_plan
    from unweave.scheduling import schedule_here
except ModuleNotFoundError as error:
    sys.exit(
        f"error: {error}: install envs/requirements.txt and envs/torch.txt into this environment, or use `make figures`"
    )

# Thousands of jobs share a few modules.
fingerprint = cache(fingerprint)

# Of what Snakemake has read, only what --config says is used: its loader takes the last of two equal keys.
try:
    PLAN = read_plan(
        [Path(os.path.relpath(path)) for path in workflow.configfiles],
        workflow.config_settings.config,
    )
except UnweaveError as error:
    sys.exit(f"error: {error}")

# The report names what was planned.
config.update(PLAN.config.model_dump(mode="json"))


wildcard_constraints:
    wheel="[A-Za-z0-9._-]+",
    model="|".join(PLAN.models),
    dataset="|".join(PLAN.datasets),
    corpus="|".join(PLAN.config.corpora),
    site="|".join(SITES),
    layer=r"\d+",
    seed=r"\d+",
    method="|".join(PLAN.methods),
    evaluation="|".join(PLAN.evaluations),
    paper="|".join(PLAN.figures),
    item="|".join(item for items in PLAN.figures.values() for item in items),


MODEL = "results/models/{model}/manifest.json"
TEXT = "results/text/{dataset}/manifest.json"
DICTIONARY = "results/dictionaries/{model}/{site}/L{layer}/{method}/seed{seed}/manifest.json"
SCORES = "results/scores/{evaluation}/{model}/{site}/L{layer}/{method}/seed{seed}.parquet"
EXPLORED = "results/explorer/data/{model}/{site}/L{layer}/{method}/seed{seed}/table.js"
FIGURE = "figures/{paper}/{item}"
FROZEN = "resources/frozen/{evaluation}.parquet"


def spec(**content):
    """What a job needs to know, as one line of JSON. A change of it reruns the job."""
    return json.dumps(content, sort_keys=True)


def entry(registry, name):
    return registry[name].model_dump(mode="json")


def source_files(registry_entry):
    """What an entry is read from: its wheel, or its local file or folder, or nothing if it lies on the hub."""
    source = registry_entry.source
    if isinstance(source, PypiSource):
        return {"download": f"results/downloads/{source.wheel}.whl"}
    if isinstance(source, LocalSource):
        return {"local": os.path.relpath(source.place)}
    return {}


def download_option(wildcards, input):
    return ["--download", input.download] if input.get("download") else []


def dataset_of(corpus):
    return PLAN.config.corpora[corpus].dataset


def scores_of(evaluation):
    """Score tables of one evaluation for every dictionary that it is run on."""
    return [SCORES.format(evaluation=name, **fit._asdict()) for name, fit in PLAN.scores if name == evaluation]


def figure_scores(paper, item):
    needs = PLAN.figures[paper][item].needs
    if PLAN.config.frozen:
        return [os.path.relpath(PROJECT / FROZEN.format(evaluation=evaluation)) for evaluation in needs]
    return [path for evaluation in needs for path in scores_of(evaluation)]


def figure_references(paper, item):
    """What else a notebook reads: what the paper published, its errata, or the claims and nulls that are tested."""
    known = {"scorecard": "claims.yaml", "nulls": "nulls.yaml", "errata": "errata.yaml"}
    wanted = [f"references/{paper}.yaml", *([known[item]] if item in known else [])]
    paths = [PROJECT / "resources" / name for name in wanted]
    return [os.path.relpath(path) for path in paths if path.exists()]


def figure_targets(paper, item):
    """A figure's files and the scores behind it.

    The scores are named because Snakemake takes a figure that came with the clone for finished as long as nothing that it
    was drawn from exists.
    """
    stem = FIGURE.format(paper=paper, item=item)
    suffixes = [".png", ".svg", ".csv", ".ipynb", ".html"]
    if PLAN.figures[paper][item].kind == "table":
        suffixes += [".md", ".tex"]
    return [stem + suffix for suffix in suffixes] + figure_scores(paper, item)


def items_of(kind):
    """Pattern of the items of a kind; where there are none it matches nothing."""
    return (
        "|".join(item for items in PLAN.figures.values() for item, entry in items.items() if entry.kind == kind)
        or "(?!)"
    )


def item_targets():
    """Names of the targets that make one item each: its full name, its number, and the name alone in the comparison."""
    targets = {}
    for paper, items in PLAN.config.figures.items():
        for item in items:
            number = item.partition("_")[0]
            short = item if paper == "comparison" else f"{paper}_{number}"
            unique = paper == "comparison" or [other.partition("_")[0] for other in items].count(number) == 1
            targets |= {name: (paper, item) for name in (f"{paper}_{item}", *([short] if unique else []))}
    return targets


ITEMS = [(paper, item) for paper, items in PLAN.config.figures.items() for item in items]
ALL_FIGURES = [path for paper, item in ITEMS for path in figure_targets(paper, item)]
ALL_SCORES = [path for plan in PLAN.config.evaluations for path in scores_of(plan.evaluation)]
ALL_DICTIONARIES = [DICTIONARY.format(**fit._asdict()) for fit in PLAN.fits]


def pinned_wheel(wildcards):
    """The registry entry of a wheel, without the member that is read from it: several entries may share one wheel."""
    for registry in (PLAN.models, PLAN.datasets):
        for candidate in registry.values():
            source = candidate.source
            if isinstance(source, PypiSource) and source.wheel == wildcards.wheel:
                return spec(
                    type="pypi",
                    project=source.project,
                    version=source.version,
                    sha256=source.sha256,
                )
    raise UnweaveError(f"no entry of the registries uses the wheel {wildcards.wheel}")


def check_disk():
    """Refuse a run whose results cannot lie here, before any of its jobs; what is there already is not counted again."""
    try:
        require_disk(PLAN, Path("results"))
    except UnweaveError as error:
        sys.exit(f"error: {error}")


def group_folder(model, settings):
    """Folder of the activations of one harvest of a model: a group of its layers where they come one after another."""
    return Path("results", "activations", model, settings.group).as_posix()


def activations(wildcards, corpus, site):
    """The file that holds one layer of a model at a site."""
    groups = PLAN.config.harvest[wildcards.model].groups()
    settings = next(group for group in groups if int(wildcards.layer) in group.layers)
    return f"{group_folder(wildcards.model, settings)}/{corpus}/{site}.h5"


def results_of(model, settings):
    """Every dictionary and score table that needs one harvest of a model."""
    wanted = {fit for fit in PLAN.fits if fit.model == model and fit.layer in settings.layers}
    scores = [SCORES.format(evaluation=name, **fit._asdict()) for name, fit in PLAN.scores if fit in wanted]
    return scores + [DICTIONARY.format(**fit._asdict()) for fit in sorted(wanted)]


def evaluation_activations(wildcards):
    corpora = PLAN.corpora_of(wildcards.evaluation)
    return [activations(wildcards, corpus, wildcards.site) for corpus in corpora]


def evaluation_targets(wildcards):
    """Activations that a transcoder rebuilds, in the order of the corpora."""
    target = PLAN.methods[wildcards.method].target
    corpora = PLAN.corpora_of(wildcards.evaluation) if target else []
    return [activations(wildcards, corpus, target) for corpus in corpora]


def evaluation_texts(wildcards):
    return [TEXT.format(dataset=dataset_of(corpus)) for corpus in PLAN.corpora_of(wildcards.evaluation)]


def score_key(wildcards):
    """Columns of a score table that say which dictionary was evaluated."""
    names = ("evaluation", "model", "site", "method")
    numbers = {"layer": wildcards.layer, "fit_seed": wildcards.seed}
    return {**{name: wildcards[name] for name in names}, **{name: int(value) for name, value in numbers.items()}}


def named(option, names, paths):
    """Words of an option that is given once for each name, as NAME=PATH."""
    return [word for name, path in zip(names, paths) for word in (option, f"{name}={path}")]


def by_corpus(option, paths, wildcards):
    return named(option, PLAN.corpora_of(wildcards.evaluation), paths)


def memory(work, least):
    """Megabytes that a job asks for: what its work needs and a half more, so that a scheduler does not kill it.

    With each attempt as much again, for it may have failed for want of it.
    """
    return lambda wildcards, attempt: attempt * max(least, int(1.5e-6 * work(wildcards).memory))


def fit_of(wildcards):
    return Fit(wildcards.model, wildcards.site, int(wildcards.layer), wildcards.method, int(wildcards.seed))


def fit_corpus(wildcards):
    if fit_of(wildcards) not in PLAN.fits:
        raise UnweaveError(f"{wildcards.method} is not planned there: add it to `dictionaries` of the configuration")
    return PLAN.fits[fit_of(wildcards)]


def fit_inputs(wildcards):
    """Activations, and what else the method of a dictionary learns from."""
    corpus, method = fit_corpus(wildcards), PLAN.methods[wildcards.method]
    inputs = {"activations": activations(wildcards, corpus, wildcards.site)}
    if method.target:
        inputs["target"] = activations(wildcards, corpus, method.target)
    if method.supervised:
        inputs["text"] = TEXT.format(dataset=dataset_of(corpus))
    if not PLAN.config.corpora[corpus].stored:
        inputs["model"] = MODEL.format(model=wildcards.model)
    return inputs


def fit_options(wildcards, input):
    given = [name for name in ("target", "text", "model") if input.get(name)]
    return [word for name in given for word in (f"--{name}", input[name])]


def figure_entry(wildcards):
    return PLAN.figures[wildcards.paper][wildcards.item]


def figure_titles():
    """How figures name what this run uses."""
    return {
        "methods": {fit.method: PLAN.methods[fit.method].title for fit in PLAN.fits},
        "datasets": {name: PLAN.datasets[corpus.dataset].title for name, corpus in PLAN.config.corpora.items()},
        "models": {model: PLAN.models[model].title for model in PLAN.config.harvest},
    }


def notebook_source(wildcards):
    return os.path.relpath(PROJECT / figure_entry(wildcards).notebook)


def labels(form):
    """What the report calls a file of a figure."""
    return lambda wildcards: {"item": figure_entry(wildcards).title, "form": form}


def explored_corpora():
    return PLAN.config.explorer.corpora


def explored_scores(wildcards):
    """Score tables that name features of a dictionary, if they are planned."""
    naming = [name for name, entry in PLAN.evaluations.items() if entry.evaluation == "comsem"]
    return [
        SCORES.format(evaluation=name, **wildcards)
        for name, fit in PLAN.scores
        if name in naming and fit == fit_of(wildcards)
    ]


def explored_models():
    """The first dictionary of each model that the explorer shows: its activations say which tokens there are."""
    return {fit.model: fit for fit in reversed(PLAN.explored)}
