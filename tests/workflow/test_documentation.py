"""Every code block of README.md and docs is executed: Python as it stands, shell commands as they would be planned.

Commands that take long are asked what they would do: Snakemake and make by dry runs. `unweave` is called for real,
on the results of the small run that the workflow tests have made.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from unweave.config import PROJECT, read_yaml
from unweave.plan import Plan

pytestmark = pytest.mark.workflow

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
NEEDS_A_RUN = "# needs a finished run"
ELSEWHERE = (
    "podman",
    "pip",
    ".",
    "export",
    "tmux",
    "sinfo",
    "squeue",
    "sacct",
    "sbatch",
    "scancel",
    "kubectl",
    "tail",
    "ls",
    "du",
)
"""Commands of other programs, which are only parsed."""


class Block(NamedTuple):
    """One fenced block."""

    page: str
    line: int
    language: str
    text: str


def blocks(language: str) -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^( *)```(\w+)\n(.*?)^\1```", text, flags=re.MULTILINE | re.DOTALL):
            if found[2] == language:
                lines = [line.removeprefix(found[1]) for line in found[3].splitlines()]
                line = text[: found.start()].count("\n") + 1
                yield Block(str(page.relative_to(PROJECT)), line, language, "\n".join(lines))


def named(block: Block) -> str:
    return f"{block.page}:{block.line}"


PYTHON = [block for block in blocks("python") if NEEDS_A_RUN not in block.text]
COMMANDS = [
    (f"{named(block)}: {command}", command)
    for block in [*blocks("sh"), *blocks("bash")]
    for command in block.text.replace("\\\n", " ").splitlines()
    if command.strip() and not command.strip().startswith("#")
]


def test_there_are_blocks_of_every_kind():
    assert len(PYTHON) >= 4
    assert len(COMMANDS) >= 20
    assert list(blocks("yaml"))


@pytest.mark.parametrize("block", PYTHON, ids=named)
def test_python_runs_as_it_stands(block: Block, tmp_path: Path):
    call = subprocess.run([sys.executable, "-c", block.text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert call.returncode == 0, call.stderr


def planned(command: str) -> list[str] | None:
    """The same command, asked what it would do; None if it belongs to another program."""
    words = shlex.split(command, comments=True)
    if words[0] in ELSEWHERE:
        return None
    if words[0] == "make":
        return ["make", "--dry-run", *words[1:]]
    if words[0] == "snakemake":
        return [sys.executable, "-m", "snakemake", "--dry-run", *words[1:]]
    if words[0] == "unweave":
        return [sys.executable, "-m", "unweave", *words[1:]]
    raise AssertionError(f"no one knows how to check {command!r}")


def of_results(command: str) -> bool:
    return command.startswith("unweave") and "results/" in command


@pytest.mark.parametrize("command", [pytest.param(text, id=name) for name, text in COMMANDS if not of_results(text)])
def test_commands_are_understood(fresh, command: str):
    asked = planned(command)
    if asked is None:
        return
    if "snakemake" in asked and any(word.startswith("slurm") for word in asked):
        pytest.importorskip("snakemake_executor_plugin_slurm")
    for name in ("Makefile", "pyproject.toml", "README.md"):
        (fresh.folder / name).write_bytes((PROJECT / name).read_bytes())
    call = subprocess.run(asked, cwd=fresh.folder, capture_output=True, text=True, check=False)
    # What the doctor finds, and whether a plan fits on the disk, are matters of the machine.
    too_small = "plan" in asked and "GB are free" in call.stderr
    allowed = (0, 1) if "doctor" in asked else (2,) if too_small else (0,)
    assert call.returncode in allowed, call.stdout[-2000:] + call.stderr[-2000:]


@pytest.mark.parametrize("command", [pytest.param(text, id=name) for name, text in COMMANDS if of_results(text)])
def test_commands_about_results_find_them(finished_run, command: str):
    asked = planned(command)
    assert asked is not None
    call = subprocess.run(asked, cwd=finished_run.folder, capture_output=True, text=True, check=False)
    assert call.returncode == 0, call.stderr[-2000:]
    assert call.stdout.strip()


@pytest.mark.parametrize("block", [block for block in blocks("python") if NEEDS_A_RUN in block.text], ids=named)
def test_python_about_results_runs(finished_run, block: Block):
    call = subprocess.run(
        [sys.executable, "-c", block.text], cwd=finished_run.folder, capture_output=True, text=True, check=False
    )
    assert call.returncode == 0, call.stderr


def test_the_entries_that_pages_show_are_valid_together(tmp_path: Path):
    """What pages add to each file is added to the real one, and the whole is checked as a run would."""
    added: dict[str, dict] = {}
    for block in blocks("yaml"):
        place = re.match(r"# config/(\w+)\.yaml", block.text)
        assert place, f"{named(block)}: must begin with the file that it belongs to"
        content = added.setdefault(place[1], {})
        for key, value in yaml.safe_load(block.text).items():
            old = content.get(key)
            content[key] = old + value if isinstance(old, list) else old | value if isinstance(old, dict) else value
    registry = tmp_path / "registry"
    registry.mkdir()
    for name in ("models", "datasets", "methods", "evaluations", "figures"):
        entries = read_yaml(PROJECT / f"config/{name}.yaml") | added.get(name, {})
        (registry / f"{name}.yaml").write_text(yaml.safe_dump(entries), encoding="utf-8")
    run = read_yaml(PROJECT / "config/config.yaml")
    run |= {"registry": str(registry), "evaluations": run["evaluations"], "figures": {}, "explorer": None}
    for key, value in added["config"].items():
        if key == "evaluations":
            continue
        run[key] = [*run[key], *value] if isinstance(value, list) else {**run[key], **value}
    plan = Plan(run, where="docs")
    assert any(fit.model == "my-model" for fit in plan.fits)


def test_the_pages_that_are_made_from_the_code_are_in_step():
    from unweave.reference_pages import FOLDER, pages

    for path, text in pages().items():
        assert (FOLDER / path).read_text(encoding="utf-8") == text, f"docs/reference/{path}: run `make docs`"


def test_the_site_builds_and_every_link_resolves(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    call = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert call.returncode == 0, call.stdout + call.stderr
    assert (tmp_path / "site/tutorial.html").exists()
