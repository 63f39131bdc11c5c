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
# # Fidelity
#
# **The paper** compares KL, cross-entropy and explained variance with half of the training tokens.
#
# **Here** the same numbers at equal tokens for all arms; curves against tokens are in the figure of matched budgets.
#
# **What differs**: L0 is not equal for all arms; it stands beside.
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
        Panel("fve", "Explained", "share of variance", label="without the first position"),
        Panel("ce_recovered", "Loss", "share recovered", label="without the first position"),
    ],
    [
        Panel("kl_recovered", "KL", "share recovered", label="without the first position"),
        Panel("l0", "L0", "codes", label="without the first position", log_x=True),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem, comparison.printed(data, panels))
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "table1_fidelity") + "\n" + comparison.findings(data, panels))
