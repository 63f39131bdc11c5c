"""Reading YAML that anybody may have written."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from unweave.errors import UnweaveError

LARGEST = 2_000_000
"""Characters of a document."""
LARGEST_EXPANSION = 200_000
"""Values of a document in which every alias is replaced by what it stands for."""


def read_yaml(path: Path) -> Any:
    """Read one YAML document.

    Raises
    ------
    UnweaveError
        if the file is missing, is not YAML, states a key twice, or is larger than any honest one, aliases expanded.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UnweaveError(f"{path}: no such file: create it or correct `registry` in the configuration") from None
    except (OSError, ValueError) as error:
        raise UnweaveError(f"{path}: cannot be read as UTF-8 text ({error}): correct or replace it") from None
    if len(text) > LARGEST:
        raise UnweaveError(f"{path}: has {len(text):,} characters, at most {LARGEST:,} are read: shorten it")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _expanded(node, path, {}) > LARGEST_EXPANSION:
            raise UnweaveError(f"{path}: its aliases stand for more than {LARGEST_EXPANSION:,} values: write fewer")
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise UnweaveError(f"{path}:{line} is not valid YAML: {getattr(error, 'problem', error)}") from None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise UnweaveError(f"{path}: is not valid YAML: a value is not what its tag or form says ({error})") from None
    except RecursionError:
        raise UnweaveError(f"{path}: is not valid YAML: nested too deeply: flatten it") from None


def _expanded(node: yaml.Node, path: Path, sizes: dict[yaml.Node, int]) -> int:
    """Count the values below a node, those behind aliases each time; refuse a key that stands twice."""
    if node in sizes:
        if not sizes[node]:
            raise UnweaveError(
                f"{path}: line {node.start_mark.line + 1}: an alias stands inside what it names: remove it"
            )
        return sizes[node]
    sizes[node] = 0
    parts: Iterable[yaml.Node] = ()
    if isinstance(node, yaml.MappingNode):
        parts = (part for pair in node.value for part in pair)
        _refuse_repeated(node, path)
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    sizes[node] = 1 + sum(_expanded(part, path, sizes) for part in parts)
    return sizes[node]


def _refuse_repeated(node: yaml.MappingNode, path: Path) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                line = key.start_mark.line + 1
                raise UnweaveError(f"{path}: line {line}: {key.value} stands twice: leave one out or rename it")
            seen.add((key.tag, key.value))
