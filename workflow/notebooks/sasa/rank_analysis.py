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
# # How many dimensions groups use
#
# **The paper** asks how many dimensions groups use and what the nuclear norm does to them.
#
# **Here** three spectra of each group: its decoder (the published analysis, which a change of basis alters), its
# codes, and what it writes, which no change of basis alters. Hollow: codes without any structure on as many tokens.
#
# **What differs**: groups of four.
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
        Panel("rank90", "Written", "rank (90 %)", label="written", control="isotropic"),
        Panel("rank90", "Codes", "rank (90 %)", label="codes", control="isotropic"),
        Panel("rank90", "Decoder", "rank (90 %)", label="decoder"),
    ],
    [
        Panel("participation_ratio", "Written", "participation ratio", label="written", control="isotropic"),
        Panel("stable_rank", "Written", "stable rank", label="written", control="isotropic"),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "rank_analysis") + "\n" + comparison.findings(data, panels))
