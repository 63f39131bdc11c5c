"""What registries and run configurations may say: their typed entries, and how content is checked against them.

Nothing heavy is imported here: Snakemake reads this module each time it builds the graph.
"""

import re
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

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


def _can_be_a_path(text: str) -> str:
    if "\0" in text:
        raise ValueError("no file has a null character in its name: leave it out")
    try:
        Path(text).expanduser()
    except RuntimeError:
        raise ValueError("no such user on this machine: write the path in full") from None
    return text


Distinct = AfterValidator(_distinct)
NotEmpty = Field(min_length=1)
Place = Annotated[str, AfterValidator(_can_be_a_path)]


def _without_password(settings: dict[str, Any]) -> dict[str, Any]:
    if re.search(r"://[^/\s]*@", str(settings)):
        raise PydanticCustomError(
            "password",
            "an address holds a user name or password, which would be stored: leave it out and name the environment "
            "variable that holds the key",
        )
    return settings


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
    splits: Annotated[list[str], NotEmpty] = Field(
        default=["train"], description="splits of a data set, read in this order"
    )
    sha256: dict[str, Sha256] = Field(default={}, description="file name to hash, checked after the download")


class LocalSource(Strict):
    """A folder or file on this machine."""

    type: Literal["local"]
    path: Place = Field(description="absolute, or relative to the project")

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
    settings: Annotated[dict[str, Any], AfterValidator(_without_password)] = {}
    seed: Seed = 0


class FigureEntry(Strict):
    """One figure or table of a paper: a notebook and the evaluations whose scores it reads."""

    title: str
    notebook: Place
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

    sites: Annotated[list[Site], Distinct, NotEmpty] = ["resid"]
    layers: Annotated[list[Layer], NotEmpty]
    layers_at: dict[Site, Annotated[list[Layer], NotEmpty]] = Field(
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
    layers: Annotated[list[Layer], NotEmpty]
    methods: Annotated[list[Name], NotEmpty]
    seeds: Annotated[list[Seed], NotEmpty] = [0]
    evaluations: Annotated[list[Name], Distinct] | None = Field(
        default=None, description="only these evaluations; null for all that apply"
    )


class EvaluationPlan(Strict):
    """Run one evaluation on the given corpora for every dictionary, or for those at `layers` and of `methods`."""

    evaluation: Name
    corpora: Annotated[list[Name], Distinct] = Field(description="none for an evaluation that makes its own text")
    layers: Annotated[list[Layer], NotEmpty] | None = None
    methods: Annotated[list[Name], Distinct, NotEmpty] | None = None


class ExplorerDictionaries(Strict):
    """Dictionaries of one model, site and layer that the explorer shows."""

    model: Name
    site: Site
    layer: Layer
    methods: Annotated[list[Name], NotEmpty]
    seed: Seed = 0


class ExplorerLimits(Strict):
    """How much of each dictionary the explorer shows."""

    contexts: Count = Field(default=8, description="of each sign of a feature, at most")
    features: Count = Field(default=10_000, description="of a dictionary at most, evenly spaced among those that fire")
    tokens: Count = Field(default=20_000, description="of a corpus at most, from its beginning")


class ExplorerPlan(ExplorerLimits):
    """What the static feature explorer shows."""

    corpora: Annotated[list[Name], NotEmpty] = Field(description="whose tokens are shown")
    dictionaries: Annotated[list[ExplorerDictionaries], NotEmpty]


class Config(Strict):
    """The run configuration (config/config.yaml)."""

    registry: Place = Field(default="config", description="folder of models.yaml, datasets.yaml, ... in the project")
    corpora: dict[Name, CorpusSettings]
    harvest: dict[Name, HarvestSettings] = Field(description="by model")
    dictionaries: Annotated[list[DictionaryPlan], NotEmpty]
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


def dotted(location: tuple[int | str, ...]) -> str:
    """Place in a document as messages name it: `harvest.layers[2]`."""
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
        elif first["type"] not in ("missing", "password"):
            message = f"{message}, got {reprlib.repr(first['input'])}"
        raise UnweaveError(f"{where}: {dotted(first['loc']) or 'content'}: {message}{more}") from None


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
