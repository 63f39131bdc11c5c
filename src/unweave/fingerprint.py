"""What a job's code is, so that Snakemake reruns a job when its code changes in meaning and never otherwise."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
WITHOUT_EFFECT = frozenset({"unweave.config", "unweave.errors", "unweave.provenance"})
"""What these decide reaches a job through its spec, stops it, or is written beside its result and never into it: a
change of theirs alone makes no result stale."""


def fingerprint(*modules: str) -> str:
    """Hash of the named modules and of every unweave module that they import, directly or not, at any depth.

    Comments, docstrings, layout and file times do not count: the syntax trees are hashed.
    """
    digest = hashlib.sha256()
    for module in sorted(_closure(modules)):
        digest.update(f"{module}:{_tree(module)[0]}\n".encode())
    return digest.hexdigest()[:16]


def fingerprint_of_script(path: Path) -> str:
    """Hash of the unweave modules that a script or notebook source imports, without the script itself."""
    return fingerprint(*_imports(ast.parse(path.read_text(encoding="utf-8"))))


def _closure(modules: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in seen or module in WITHOUT_EFFECT or _file(module) is None:
            continue
        seen.add(module)
        waiting += _tree(module)[1]
        waiting += [module.rpartition(".")[0]]
    return seen


def _file(module: str) -> Path | None:
    if module.partition(".")[0] != "unweave":
        return None
    base = SOURCE.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def _tree(module: str) -> tuple[str, tuple[str, ...]]:
    path = _file(module)
    assert path is not None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.dump(tree), tuple(_imports(tree))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.partition(".")[0] == "unweave"]
