"""The parts of README.md that are made from the workflow itself."""

import re
import subprocess
import sys

from unweave.config import PROJECT
from unweave.files import staged_file
from unweave.plan import read_figures
from unweave.plots.sentences import grid
from unweave.results.checklist import read, table

START, END = "<!-- rule graph: `make readme` -->", "<!-- end of rule graph -->"
LIST_START, LIST_END = "<!-- checklist: `make readme` -->", "<!-- end of checklist -->"


def rule_graph() -> str:
    """Mermaid text of the embedded workflow's rules, in an order of its own: Snakemake's changes from call to call."""
    command = [sys.executable, "-m", "snakemake", "--rulegraph", "mermaid-js", "--forceall", "--quiet", "all"]
    drawn = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    names = dict(re.findall(r"(id\d+)\[([\w-]+)\]", drawn))
    arrows = sorted(f"    {names[start]} --> {names[end]}" for start, end in re.findall(r"(id\d+) --> (id\d+)", drawn))
    return "\n".join(["flowchart LR", *arrows])


def checklist() -> str:
    """Markdown table of every printed figure and table: a link to ours, or why there is none."""
    found = table(read(), read_figures(PROJECT / "config/figures.yaml"))
    rows = [
        [row["paper"], row["printed"], row["shows"], f"[made]({row['figure']})" if row["figure"] else row["reason"]]
        for row in found.to_dict("records")
    ]
    return grid(["paper", "printed", "shows", "status"], rows)


def with_block(readme: str, start: str, end: str, text: str) -> str:
    """`readme` with what stands between two marks replaced by `text`."""
    block = f"{start}\n{text}\n{end}"
    return re.sub(f"{re.escape(start)}.*?{re.escape(end)}", lambda _: block, readme, flags=re.DOTALL)


def write_readme() -> None:
    """Redraw the rule graph and the checklist in README.md."""
    path = PROJECT / "README.md"
    text = with_block(path.read_text(encoding="utf-8"), START, END, f"```mermaid\n{rule_graph()}\n```")
    with staged_file(path) as partial:
        partial.write_text(with_block(text, LIST_START, LIST_END, checklist()), encoding="utf-8")
