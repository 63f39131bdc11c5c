"""What to build: a configuration with its registries, and every check that spans more than one of them.

Nothing heavy is imported here: Snakemake reads this module each time it builds the graph. Settings of a method or an
evaluation are checked against the JSON Schema that `make schemas` generates from the `Settings` class in its module.
"""

import json
import os
import re
import reprlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from unweave.config import (
    NAME,
    PROJECT,
    SCHEMAS,
    Config,
    DatasetEntry,
    DictionaryPlan,
    Entry,
    EvaluationEntry,
    FigureEntry,
    MethodEntry,
    ModelEntry,
    dotted,
    validated,
)
from unweave.errors import UnweaveError
from unweave.yaml_file import read_yaml


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
        place = dotted(("settings", *error.absolute_path))
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
        self._check_evaluated()
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
                if not any(layer in harvest.layers_of(at_site) for at_site in harvest.sites):
                    raise UnweaveError(
                        f"{self.where}: harvest.{name}.layers: layer {layer} is harvested at no site: leave it out or "
                        "add it to `layers_at`"
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

    def _check_evaluated(self) -> None:
        """No evaluation, and no layer or method that one names, may drop out for want of a dictionary."""
        scored = {evaluation for evaluation, _ in self.scores}
        for i, plan in enumerate(self.config.evaluations):
            where = f"{self.where}: evaluations[{i}]"
            there = [fit for fit in self.fits if plan.layers is None or fit.layer in plan.layers]
            of_methods = [fit for fit in there if plan.methods is None or fit.method in plan.methods]
            checks: list[tuple[str, Sequence[int | str] | None, set[int | str]]] = [
                ("layers", plan.layers, {fit.layer for fit in self.fits}),
                ("methods", plan.methods, {fit.method for fit in there}),
                ("layers", plan.layers, {fit.layer for fit in of_methods}),
            ]
            for key, named, fitted in checks:
                for name in named or []:
                    if name not in fitted:
                        known = ", ".join(map(str, sorted(fitted, key=str)))
                        raise UnweaveError(
                            f"{where}.{key}: {plan.evaluation} has no dictionary to score for {name}: leave it out, or "
                            f"add one to `dictionaries`; there are some for {known}"
                        )
            if plan.evaluation not in scored:
                raise UnweaveError(
                    f"{where}.evaluation: {plan.evaluation} has no dictionary to score: name it in `evaluations` of "
                    "one of `dictionaries`, or leave it out"
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


def read_plan(paths: Sequence[Path], changes: Mapping[str, Any] | None = None) -> Plan:
    """Read a run configuration and its registries.

    Parameters
    ----------
    paths
        Files of the configuration. What a later one says goes before what an earlier one says, key by key.
    changes
        What goes before all of them.

    Raises
    ------
    UnweaveError
        if a file cannot be read, or says what cannot be planned.
    """
    content: dict[str, Any] = {}
    for path in paths:
        part = read_yaml(path)
        if not isinstance(part, dict):
            raise UnweaveError(f"{path}: must map keys to values, as config/config.yaml does")
        content = _over(content, part)
    return Plan(_over(content, dict(changes or {})), where=", ".join(map(str, paths)))


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both, where `above` goes before `below` at every depth."""
    pairs = ((key, value, below.get(key)) for key, value in above.items())
    return below | {
        key: _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        for key, value, old in pairs
    }
