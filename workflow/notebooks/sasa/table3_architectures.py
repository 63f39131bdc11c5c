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
# # Architectures compared
#
# **The paper** compares architectures at equal numbers of tokens.
#
# **Here** by probes of the last token that see one or twenty codes, with labels of chance (hollow), and by how far
# ablating features frees a probe from a spurious attribute (hollow: random features).
#
# **What differs**: what the paper tabulates is not known.
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
panels = [
    [
        Panel("accuracy", "1 code", "accuracy of a probe", "k", at=1, control="shuffled labels", limit=0.5),
        Panel("accuracy", "20 codes", "accuracy of a probe", "k", at=20, control="shuffled labels", limit=0.5),
        Panel(
            "scr",
            "SCR",
            "share of bias removed",
            "n",
            at=20,
            control="random features",
            limit=0,
            limit_title="nothing removed",
        ),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem, comparison.printed(data, panels))
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "table3_architectures") + "\n" + comparison.findings(data, panels))
