"""A copy of the project that tests may edit and run."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unweave.config import PROJECT

PARTS = ("Snakefile", "profiles", "config", "envs", "resources", "src", "workflow")


@dataclass(frozen=True)
class Call:
    """What one call of Snakemake ended in."""

    status: int
    output: str

    @property
    def nothing_to_do(self) -> bool:
        return self.status == 0 and "Nothing to be done" in self.output

    @property
    def jobs(self) -> list[tuple[str, dict[str, str]]]:
        """Rule and wildcards of each announced job."""
        assert self.status == 0, self.output
        found = []
        for block in re.split(r"\n(?= *(?:local)?rule )", self.output)[1:]:
            rule = re.match(r" *(?:local)?rule ([\w-]+):", block)
            if rule:
                wildcards = re.search(r"^ +wildcards: (.*)$", block, flags=re.MULTILINE)
                pairs = dict(pair.split("=", 1) for pair in wildcards[1].split(", ")) if wildcards else {}
                found.append((rule[1], pairs))
        return found

    @property
    def counts(self) -> Counter[str]:
        """Jobs by rule, target rules left out."""
        return Counter(rule for rule, _ in self.jobs if rule != "all")


@dataclass(frozen=True)
class Checkout:
    """A copy of the project that tests may edit and run."""

    folder: Path

    def snakemake(self, *arguments: str, profile: str = "ci", **environment: str) -> Call:
        command = [sys.executable, "-m", "snakemake", "--workflow-profile", f"profiles/{profile}", *arguments]
        given = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        run = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, env={**given, **environment}
        )
        return Call(run.returncode, run.stdout + run.stderr)

    def dry_run(self, *arguments: str, profile: str = "ci") -> Call:
        return self.snakemake("--dry-run", *arguments, profile=profile)

    def edit(self, path: str, change: Callable[[str], str]) -> None:
        file = self.folder / path
        before = file.read_text(encoding="utf-8")
        after = change(before)
        assert after != before, f"the edit of {path} changed nothing"
        file.write_text(after, encoding="utf-8")


def copy_of_project(folder: Path) -> Checkout:
    for part in PARTS:
        source = PROJECT / part
        if source.is_symlink():
            (folder / part).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    return Checkout(folder)
