"""The part of README.md that is drawn from the workflow itself."""

import re
import subprocess
import sys

from unweave.config import PROJECT
from unweave.files import staged_file

START, END = "<!-- rule graph: `make readme` -->", "<!-- end of rule graph -->"


def rule_graph() -> str:
    """Mermaid text of the embedded workflow's rules, in an order of its own: Snakemake's changes from call to call."""
    command = [sys.executable, "-m", "snakemake", "--rulegraph", "mermaid-js", "--forceall", "--quiet", "all"]
    drawn = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    names = dict(re.findall(r"(id\d+)\[([\w-]+)\]", drawn))
    arrows = sorted(f"    {names[start]} --> {names[end]}" for start, end in re.findall(r"(id\d+) --> (id\d+)", drawn))
    return "\n".join(["flowchart LR", *arrows])


def with_rule_graph(readme: str, graph: str) -> str:
    """`readme` with the block between the two marks replaced by `graph`."""
    block = f"{START}\n```mermaid\n{graph}\n```\n{END}"
    return re.sub(f"{re.escape(START)}.*?{re.escape(END)}", lambda _: block, readme, flags=re.DOTALL)


def write_rule_graph() -> None:
    """Redraw the graph in README.md."""
    path = PROJECT / "README.md"
    with staged_file(path) as partial:
        partial.write_text(with_rule_graph(path.read_text(encoding="utf-8"), rule_graph()), encoding="utf-8")
