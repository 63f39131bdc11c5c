"""What to build: the typed registries and run configuration, and every check that spans more than one of them.

Nothing heavy is imported here: Snakemake reads this module each time it builds the graph. Settings of a method or an
evaluation are checked against the JSON Schema that `make schemas` generates from the `Settings` class in its module.
"""

import json
import os
import re
import reprlib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from unweave.errors import UnweaveError
from unweave.yaml_file import read_yaml as read_yaml

PROJECT = Path(__file__).resolve().parents[2]
SCHEMAS = PROJECT / "workflow" / "schemas"

Site = Literal["resid", "mlp_in", "mlp_neurons", "mlp_out", "attn_out"]
SITES: tuple[str, ...] = get_args(Site)
NAME = r"^[a-z0-9][a-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=64)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Layer = Annotated[int, Field(ge=0, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]


def _distinct(values: list[Any]) -> list[Any]:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"{value} stands twice: leave one out")
    return values


Distinct = AfterValidator(_distinct)


class Strict(BaseModel):
    """Base of all entries: unknown keys are errors and values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PypiSource(Strict):
    """A wheel on the Python package index. It is read as an archive; nothing in it is imported."""

    type: Literal["pypi"]
    project: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.!+_-]+$")]
    sha256: Sha256 = Field(description="of the wheel")
    file: str = Field(default="", description="path of the wanted member inside the wheel")
    file_sha256: Sha256 | None = Field(default=None, description="of that member")

    @property
    def wheel(self) -> str:
        """Stem of the downloaded wheel's file name."""
        return f"{self.project}-{self.version}"


class HubSource(Strict):
    """A repository on the Hugging Face hub, pinned by commit."""

    type: Literal["hub"]
    repo: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] = Field(description="commit hash, never a branch")
    subset: str | None = Field(default=None, description="configuration name of a data set")
    splits: list[str] = Field(default=["train"], description="splits of a data set, read in this order")
    sha256: dict[str, Sha256] = Field(default={}, description="file name to hash, checked after the download")


class LocalSource(Strict):
    """A folder or file on this machine."""

    type: Literal["local"]
    path: str = Field(description="absolute, or relative to the project")

    @property
    def place(self) -> Path:
        """Where it lies."""
        return PROJECT / Path(self.path).expanduser()


Source = Annotated[PypiSource | HubSource | LocalSource, Field(discriminator="type")]


class Architecture(Strict):
    """The facts that layers and widths are checked against before any work is done."""

    family: Literal["gpt2", "llama", "gemma2", "qwen2", "qwen3", "mistral", "gpt_neox"]
    blocks: Count
    d_model: Count
    d_mlp: Count
    vocabulary: Count


class ModelEntry(Strict):
    """One language model."""

    title: str = Field(description="how figures name the model")
    source: Source
    format: Literal["gguf", "transformers"]
    licence: str
    architecture: Architecture
    max_perplexity: float | None = Field(default=None, description="on the sanity text, at most")
    random_weights: Seed | None = Field(
        default=None, description="seed of fresh weights in the place of the trained ones: a control"
    )
    notes: str = ""


class SplitSettings(Strict):
    """How documents are divided, once, with a recorded seed."""

    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: Seed = 0


class DatasetEntry(Strict):
    """One set of texts, labelled or not."""

    title: str = Field(description="how figures name the data set")
    source: Source
    reader: Name = Field(description="a module of unweave.datasets.readers")
    options: dict[str, Any] = Field(default={}, description="keyword arguments of the reader")
    labels: list[str] = Field(default=[], description="class names in label order; empty for unlabelled text")
    min_characters: Count = 1
    split: SplitSettings = SplitSettings()
    licence: str
    notes: str = ""


class MethodEntry(Strict):
    """One named arm of a decomposition method."""

    method: Name = Field(description="a module of unweave.methods")
    title: str = Field(description="how figures name the arm")
    target: Site | None = Field(
        default=None, description="site that is rebuilt, if not the one that is read: a transcoder"
    )
    supervised: bool = Field(default=False, description="learns the labels of its corpus, of the train split only")
    settings: dict[str, Any] = {}


class EvaluationEntry(Strict):
    """One named evaluation."""

    evaluation: Name = Field(description="a module of unweave.evaluations")
    settings: dict[str, Any] = {}
    seed: Seed = 0


class FigureEntry(Strict):
    """One figure or table of a paper: a notebook and the evaluations whose scores it reads."""

    title: str
    notebook: str
    needs: list[Name]
    kind: Literal["figure", "table"] = "figure"


class CorpusSettings(Strict):
    """Which documents of a data set one model reads, and how much of them."""

    dataset: Name
    split: Literal["train", "test", "all"]
    tokens: Count | None = Field(default=None, description="stop after this many kept tokens")
    documents_per_label: Count | None = Field(
        default=None, description="draw this many documents of each label and split"
    )
    seed: Seed = Field(default=0, description="of that draw")
    context: Annotated[int, Field(ge=2, strict=True)] = Field(
        default=128, description="documents are cut to this many tokens"
    )
    keep_outliers: bool = Field(
        default=False, description="store every token, whatever `max_norm_ratio` of the model's harvest says"
    )
    keep_first: bool = Field(
        default=False, description="store the first tokens too, whatever `drop_positions` of the model's harvest says"
    )
    stored: bool = Field(
        default=True,
        description="false keeps tokens and moments alone: fits compute the activations as they read them",
    )


class HarvestSettings(Strict):
    """How activations are captured and stored."""

    sites: Annotated[list[Site], Distinct] = ["resid"]
    layers: list[Layer]
    layers_at: dict[Site, list[Layer]] = Field(
        default={}, description="layers of a site that is not harvested at all of `layers`"
    )
    compute_dtype: Literal["auto", "bfloat16", "float32"] = Field(
        default="auto",
        description="auto takes bfloat16 where the hardware has it: GPUs, and x86 processors with AVX512-BF16 or AMX",
    )
    store_dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    batch_tokens: Annotated[int, Field(ge=2, strict=True)] = Field(
        default=1024, description="tokens of one forward pass"
    )
    drop_positions: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=1, description="leading positions of each document that are context only (the attention sink)"
    )
    max_norm_ratio: Annotated[float, Field(gt=1)] | None = Field(
        default=None,
        description="also drop tokens whose norm exceeds this multiple of the median of the first part; null keeps all",
    )
    layers_at_once: Count | None = Field(
        default=None,
        description="keep the activations of so many layers on disk at a time, each as long as something needs them; "
        "null keeps all",
    )

    def layers_of(self, site: Site) -> list[int]:
        """Layers that are harvested at a site, ascending."""
        return sorted(set(self.layers_at.get(site, self.layers)))

    @property
    def group(self) -> str:
        """Name of these layers in their rule and folder where layers are harvested in turn; empty elsewhere."""
        return "" if self.layers_at_once is None else f"L{self.layers[0]}-{self.layers[-1]}"

    def groups(self) -> "list[HarvestSettings]":
        """One harvest after the other: of `layers_at_once` layers each, or of all."""
        layers = sorted(set(self.layers))
        size = self.layers_at_once or len(layers)
        return [self._of_layers(layers[start : start + size]) for start in range(0, len(layers), size)]

    def _of_layers(self, layers: list[int]) -> "HarvestSettings":
        kept = {site: sorted(set(wanted) & set(layers)) for site, wanted in self.layers_at.items()}
        return self.model_copy(
            update={
                "layers": layers,
                "layers_at": {site: wanted for site, wanted in kept.items() if wanted},
                "sites": [site for site in self.sites if kept.get(site, layers)],
            }
        )


class DictionaryPlan(Strict):
    """Fit each of `methods` at each of `layers`, once for each of `seeds`."""

    model: Name
    corpus: Name
    site: Site
    layers: Annotated[list[Layer], Field(min_length=1)]
    methods: Annotated[list[Name], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)] = [0]
    evaluations: Annotated[list[Name], Distinct] | None = Field(
        default=None, description="only these evaluations; null for all that apply"
    )


class EvaluationPlan(Strict):
    """Run one evaluation on the given corpora for every dictionary, or for those at `layers` and of `methods`."""

    evaluation: Name
    corpora: Annotated[list[Name], Distinct] = Field(description="none for an evaluation that makes its own text")
    layers: list[Layer] | None = None
    methods: Annotated[list[Name], Distinct] | None = None


class ExplorerDictionaries(Strict):
    """Dictionaries of one model, site and layer that the explorer shows."""

    model: Name
    site: Site
    layer: Layer
    methods: Annotated[list[Name], Field(min_length=1)]
    seed: Seed = 0


class ExplorerLimits(Strict):
    """How much of each dictionary the explorer shows."""

    contexts: Count = Field(default=8, description="of each sign of a feature, at most")
    features: Count = Field(default=10_000, description="of a dictionary at most, evenly spaced among those that fire")
    tokens: Count = Field(default=20_000, description="of a corpus at most, from its beginning")


class ExplorerPlan(ExplorerLimits):
    """What the static feature explorer shows."""

    corpora: Annotated[list[Name], Field(min_length=1)] = Field(description="whose tokens are shown")
    dictionaries: Annotated[list[ExplorerDictionaries], Field(min_length=1)]


class Config(Strict):
    """The run configuration (config/config.yaml)."""

    registry: str = Field(default="config", description="folder of models.yaml, datasets.yaml, ... in the project")
    corpora: dict[Name, CorpusSettings]
    harvest: dict[Name, HarvestSettings] = Field(description="by model")
    dictionaries: Annotated[list[DictionaryPlan], Field(min_length=1)]
    evaluations: list[EvaluationPlan]
    figures: dict[Name, Annotated[list[Name], Distinct]] = Field(
        default={}, description="paper to items of figures.yaml"
    )
    explorer: ExplorerPlan | None = Field(default=None, description="what `snakemake explorer` shows; null for none")
    frozen: bool = Field(
        default=False, description="draw the figures from resources/frozen, the score tables of the committed run"
    )


Entry = TypeVar("Entry", bound=Strict)
Content = TypeVar("Content")


def _place(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.lstrip(".")


def validated(model: type[Entry], content: Any, where: str) -> Entry:
    """Check `content` against `model`.

    Raises
    ------
    UnweaveError
        naming `where`, the first wrong key and what it should be.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        message = first["msg"][0].lower() + first["msg"][1:]
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(model.model_fields))
            message = f"unknown key; {known} are known at the top level" if len(first["loc"]) == 1 else "unknown key"
        elif first["type"] != "missing":
            message = f"{message}, got {reprlib.repr(first['input'])}"
        raise UnweaveError(f"{where}: {_place(first['loc']) or 'content'}: {message}{more}") from None


def read_checked(path: Path, kind: type[Content]) -> Content:
    """Read a YAML document whose content is of a `kind` that pydantic checks, such as a dict of entries.

    Raises
    ------
    UnweaveError
        if the file is missing or malformed, naming the first wrong place.
    """
    try:
        return TypeAdapter(kind).validate_python(read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise UnweaveError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _registry(folder: Path, name: str, entry: type[Entry]) -> dict[str, Entry]:
    path = folder / f"{name}.yaml"
    content = _by_name(read_yaml(path), f"{path}")
    return {key: validated(entry, value, f"{path}: {key}") for key, value in content.items()}


def _by_name(content: Any, where: str) -> dict[str, Any]:
    """Names go into paths and patterns, so they hold nothing else than letters, digits, `_` and `-`."""
    if not isinstance(content, dict):
        raise UnweaveError(f"{where}: must map names to entries")
    for name in content:
        if not isinstance(name, str) or len(name) > 64 or not re.search(NAME.replace("$", r"\Z"), name):
            raise UnweaveError(f"{where}: {reprlib.repr(name)}: is no name: use lower-case letters, digits, _ and -")
    return content


def _check_settings(kind: str, module: str, settings: dict[str, Any], where: str) -> None:
    import jsonschema

    path = SCHEMAS / kind / f"{module}.schema.json"
    if not path.exists():
        known = ", ".join(sorted(file.name.removesuffix(".schema.json") for file in path.parent.glob("*.schema.json")))
        raise UnweaveError(
            f"{where}: unknown {kind[:-1]} {module!r}; known: {known} "
            f"(after adding src/unweave/{kind}/{module}.py run `make schemas`)"
        )
    validator = jsonschema.Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))
    for error in validator.iter_errors(settings):
        place = _place(("settings", *error.absolute_path))
        raise UnweaveError(f"{where}: {place}: {error.message}")


def read_figures(path: Path) -> dict[str, dict[str, FigureEntry]]:
    """Items by paper of a figures.yaml."""
    return {
        paper: {
            item: validated(FigureEntry, entry, f"{path}: {paper}.{item}")
            for item, entry in _by_name(items, f"{path}: {paper}").items()
        }
        for paper, items in _by_name(read_yaml(path), f"{path}").items()
    }


class Fit(NamedTuple):
    """Which dictionary: the wildcards of its path."""

    model: str
    site: str
    layer: int
    method: str
    seed: int


def fits_of(plan: DictionaryPlan) -> list[Fit]:
    """Every dictionary of one plan."""
    return [
        Fit(plan.model, plan.site, layer, method, seed)
        for layer in plan.layers
        for method in plan.methods
        for seed in plan.seeds
    ]


class Plan:
    """A validated configuration with its registries: the static description that the graph is built from."""

    def __init__(self, content: dict[str, Any], where: str = "configuration") -> None:
        self.where = where
        self.config = validated(Config, content, where)
        self.folder = folder = Path(os.path.relpath(PROJECT / self.config.registry))
        self.models = _registry(folder, "models", ModelEntry)
        self.datasets = _registry(folder, "datasets", DatasetEntry)
        self.methods = _registry(folder, "methods", MethodEntry)
        self.evaluations = _registry(folder, "evaluations", EvaluationEntry)
        self._check_keys()
        self._check_layers()
        for name, method in self.methods.items():
            _check_settings("methods", method.method, method.settings, f"{folder}/methods.yaml: {name}")
        for name, evaluation in self.evaluations.items():
            where = f"{folder}/evaluations.yaml: {name}"
            _check_settings("evaluations", evaluation.evaluation, evaluation.settings, where)
        self._check_figures()
        self._check_explorer()

    def _known(self, registry: dict[str, Any], name: str, key: str, kind: str) -> None:
        if name not in registry:
            raise UnweaveError(f"{self.where}: {key}: unknown {kind} {name!r}; known: {', '.join(sorted(registry))}")

    def _check_keys(self) -> None:
        config = self.config
        for name, corpus in config.corpora.items():
            self._known(self.datasets, corpus.dataset, f"corpora.{name}.dataset", "dataset")
        for name in config.harvest:
            self._known(self.models, name, "harvest", "model")
        for i, plan in enumerate(config.dictionaries):
            self._known(config.harvest, plan.model, f"dictionaries[{i}].model", "model of `harvest`")
            self._known(config.corpora, plan.corpus, f"dictionaries[{i}].corpus", "corpus")
            for method in plan.methods:
                self._known(self.methods, method, f"dictionaries[{i}].methods", "method")
        self._check_dictionaries()
        for i, evaluation in enumerate(config.evaluations):
            self._known(self.evaluations, evaluation.evaluation, f"evaluations[{i}].evaluation", "evaluation")
            for read in evaluation.corpora:
                self._known(config.corpora, read, f"evaluations[{i}].corpora", "corpus")
            for method in evaluation.methods or []:
                self._known(self.methods, method, f"evaluations[{i}].methods", "method")
            if evaluation.evaluation in {other.evaluation for other in config.evaluations[:i]}:
                raise UnweaveError(
                    f"{self.where}: evaluations[{i}].evaluation: {evaluation.evaluation} stands twice: name all its "
                    "corpora in one entry, or give it a second name in evaluations.yaml"
                )
            for read in evaluation.corpora:
                if not config.corpora[read].stored:
                    raise UnweaveError(
                        f"{self.where}: evaluations[{i}].corpora: the activations of {read} are not stored "
                        f"(corpora.{read}.stored), and evaluations read stored ones: choose another corpus"
                    )
        planned = {evaluation.evaluation: evaluation for evaluation in config.evaluations}
        for i, plan in enumerate(config.dictionaries):
            for wanted in plan.evaluations or []:
                self._known(planned, wanted, f"dictionaries[{i}].evaluations", "evaluation of `evaluations`")

    def _check_dictionaries(self) -> None:
        """No dictionary twice, and for each what its method needs besides the activations."""
        seen: set[Fit] = set()
        for i, plan in enumerate(self.config.dictionaries):
            where = f"{self.where}: dictionaries[{i}]"
            fits = fits_of(plan)
            for fit in fits:
                if fit in seen:
                    raise UnweaveError(
                        f"{where}.methods: {fit.method} at layer {fit.layer}, seed {fit.seed}, stands twice: leave one "
                        "out, or give it a second name in methods.yaml"
                    )
                seen.add(fit)
            for method in plan.methods:
                entry = self.methods[method]
                if entry.target is not None and entry.target not in self.config.harvest[plan.model].sites:
                    raise UnweaveError(
                        f"{where}.methods: {method} rebuilds {entry.target}, which is not harvested; "
                        f"add it to harvest.{plan.model}.sites"
                    )
                corpus = self.config.corpora[plan.corpus]
                if not corpus.stored and not corpus.keep_outliers and self.config.harvest[plan.model].max_norm_ratio:
                    raise UnweaveError(
                        f"{self.where}: corpora.{plan.corpus}.stored: which tokens are outliers is known only after "
                        f"reading them: set keep_outliers, or leave out harvest.{plan.model}.max_norm_ratio"
                    )
                if entry.supervised and len(self.datasets[corpus.dataset].labels) < 2:
                    raise UnweaveError(
                        f"{where}.corpus: {method} learns labels, and {corpus.dataset} has none: choose a labelled one"
                    )

    def _check_layers(self) -> None:
        for name, harvest in self.config.harvest.items():
            blocks = self.models[name].architecture.blocks
            for at_site, layers in harvest.layers_at.items():
                for layer in set(layers) - set(harvest.layers):
                    raise UnweaveError(
                        f"{self.where}: harvest.{name}.layers_at.{at_site}: layer {layer} is not one of `layers`: "
                        "add it there"
                    )
            for layer in harvest.layers:
                if layer >= blocks:
                    raise UnweaveError(
                        f"{self.where}: harvest.{name}.layers: layer {layer} is missing, "
                        f"{name} has blocks 0 to {blocks - 1}"
                    )
        for i, plan in enumerate(self.config.dictionaries):
            harvest = self.config.harvest[plan.model]
            if plan.site not in harvest.sites:
                raise UnweaveError(
                    f"{self.where}: dictionaries[{i}].site: {plan.site} is not harvested; "
                    f"add it to harvest.{plan.model}.sites"
                )
            targets = {target for method in plan.methods if (target := self.methods[method].target)}
            for site in (plan.site, *sorted(targets)):
                for layer in plan.layers:
                    if layer not in harvest.layers_of(site):
                        key = "layers_at." + site if site in harvest.layers_at else "layers"
                        raise UnweaveError(
                            f"{self.where}: dictionaries[{i}].layers: layer {layer} is not harvested at {site}; "
                            f"add it to harvest.{plan.model}.{key}"
                        )

    def _check_figures(self) -> None:
        planned = {plan.evaluation for plan in self.config.evaluations}
        for paper, items in self.config.figures.items():
            for item in items:
                self._known(self.figures.get(paper, {}), item, f"figures.{paper}", "figure")
                for missing in set(self.figures[paper][item].needs) - planned:
                    raise UnweaveError(
                        f"{self.where}: figures.{paper}: {item} needs {missing}: add it to `evaluations`"
                    )

    def _check_explorer(self) -> None:
        if self.config.explorer is None:
            return
        for corpus in self.config.explorer.corpora:
            self._known(self.config.corpora, corpus, "explorer.corpora", "corpus")
        for i, fits in enumerate(self.explored_by_entry):
            for fit in fits:
                if fit not in self.fits:
                    raise UnweaveError(
                        f"{self.where}: explorer.dictionaries[{i}].methods: {fit.method} of {fit.model} at {fit.site}, "
                        f"layer {fit.layer}, seed {fit.seed}, is not fitted: add it to `dictionaries` or leave "
                        "it out here"
                    )
        if len(set(self.explored)) < len(self.explored):
            raise UnweaveError(f"{self.where}: explorer.dictionaries: a dictionary stands twice: leave one out")

    @property
    def explored_by_entry(self) -> list[list[Fit]]:
        """Dictionaries of each entry of `explorer.dictionaries`."""
        plan = self.config.explorer
        return [
            [Fit(shown.model, shown.site, shown.layer, method, shown.seed) for method in shown.methods]
            for shown in (plan.dictionaries if plan else [])
        ]

    @cached_property
    def explored(self) -> list[Fit]:
        """Every dictionary that the explorer shows, in order."""
        return [fit for fits in self.explored_by_entry for fit in fits]

    @cached_property
    def figures(self) -> dict[str, dict[str, FigureEntry]]:
        """Items by paper, from figures.yaml."""
        return read_figures(self.folder / "figures.yaml")

    @cached_property
    def fits(self) -> dict[Fit, str]:
        """Every dictionary to the corpus that it is fitted on."""
        return {fit: plan.corpus for plan in self.config.dictionaries for fit in fits_of(plan)}

    @cached_property
    def scores(self) -> list[tuple[str, Fit]]:
        """Evaluation and dictionary of every score table."""
        return [
            (plan.evaluation, fit)
            for plan in self.config.evaluations
            for of_dictionaries in self.config.dictionaries
            if of_dictionaries.evaluations is None or plan.evaluation in of_dictionaries.evaluations
            for fit in fits_of(of_dictionaries)
            if (plan.layers is None or fit.layer in plan.layers)
            and (plan.methods is None or fit.method in plan.methods)
        ]

    def corpora_of(self, evaluation: str) -> list[str]:
        """Corpora that an evaluation reads."""
        return next(plan.corpora for plan in self.config.evaluations if plan.evaluation == evaluation)
