# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["parameters"]
scores = []  # score tables to read
stem = ""  # where the figure goes, without a suffix
titles = {}  # registry keys to the names that the figure prints

# %% [markdown]
# # Size of groups by weight of the nuclear norm
#
# **The paper** varies the size of groups and the weight of the nuclear norm together (version 2).
#
# **Here** groups of 2, 4 and 8 with as many active codes, and three ratios of the penalty to the error at the start:
# variance explained, and how many dimensions hold 90 % of what a group writes. Dotted: codes without any structure.
#
# **What differs**: the penalty is that of the maps of groups; short fits.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import comparison
from unweave.plots.figure import save
from unweave.plots.panel import Panel
from unweave.plots.sentences import claim
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("sasa")


def row(size: int) -> list[Panel]:
    """Both panels of one size of groups."""
    name, axis = f"groups of {size}", ("penalty ratio", "penalty / error at the start")
    return [
        Panel("fve", name.capitalize(), "variance explained", *axis, label=name, log_x=True),
        Panel(
            "rank90",
            name.capitalize(),
            "rank (90 %)",
            *axis,
            label=f"{name}, written",
            control=f"{name}, isotropic",
            log_x=True,
        ),
    ]


panels = [row(2), row(4), row(8)]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "rank_by_penalty") + "\n" + comparison.findings(data, panels))
