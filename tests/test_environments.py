"""One source of versions: what the locks and the conda file say follows from pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).resolve().parents[1]
DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins(path: str) -> dict[str, set[Version]]:
    found: dict[str, set[Version]] = {}
    for line in (PROJECT / path).read_text(encoding="utf-8").splitlines():
        match = re.match(r"^(?: +- )?([A-Za-z0-9._-]+)==([^ ;\\]+)", line)
        if match:
            found.setdefault(canonicalize_name(match[1]), set()).add(Version(match[2]))
    return found


def unsatisfied(requirements: list[str], locked: dict[str, set[Version]]) -> list[str]:
    wanted = [Requirement(text) for text in requirements]
    return [
        str(requirement)
        for requirement in wanted
        if not locked.get(canonicalize_name(requirement.name))
        or not all(requirement.specifier.contains(version) for version in locked[canonicalize_name(requirement.name)])
    ]


@pytest.mark.parametrize("extras", [(), ("dev",)])
def test_the_locks_satisfy_what_the_project_declares(extras):
    locked = pins("envs/torch.txt") | pins("envs/requirements-dev.txt" if extras else "envs/requirements.txt")
    declared = DECLARED["dependencies"] + [
        line for extra in extras for line in DECLARED["optional-dependencies"][extra]
    ]
    assert unsatisfied(declared, locked) == []


def test_every_locked_package_has_a_hash():
    for path in ("envs/requirements.txt", "envs/requirements-dev.txt"):
        blocks = re.split(r"\n(?=[a-z])", (PROJECT / path).read_text(encoding="utf-8"))
        assert all("--hash=sha256:" in block for block in blocks)


def test_the_conda_file_holds_the_versions_of_the_lock():
    assert pins("envs/environment.yaml") == pins("envs/requirements.txt") | pins("envs/torch.txt")
    assert yaml.safe_load((PROJECT / "envs/environment.yaml").read_text(encoding="utf-8"))["name"] == "unweave"


def test_the_test_tools_do_not_move_the_versions_of_the_workflow():
    workflow, tools = pins("envs/requirements.txt"), pins("envs/requirements-dev.txt")
    assert {name: tools[name] for name in workflow} == workflow
