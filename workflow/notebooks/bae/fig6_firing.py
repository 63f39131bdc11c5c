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
# # How often features fire
#
# **The paper** shows histograms of how often channels fire: a binary autoencoder has few that fire on most tokens
# and few that never do.
#
# **Here** the share of features that never fire, and of all firings the share that features make which fire on more
# than 1 % or 10 % of the tokens; below, how many features fire how often, in bins of a quarter of a decade. Dense codes
# (ICA, PCA, random) count as firing where they are among the 32 strongest.
#
# **What differs**: a few thousand tokens, on which a rare feature looks dead.
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

table, references = read(scores), read_references("bae")
panels = [
    [
        Panel("dead", "Dead", "share of features", label="without the first position"),
        Panel("firings_over_1pct", "Over 1 %", "share of firings", label="without the first position"),
        Panel("firings_over_10pct", "Over 10 %", "share of firings", label="without the first position"),
    ],
    [
        Panel(
            "density_histogram",
            "How often features fire",
            "share of features",
            "log10 density",
            "log₁₀ of the share of tokens (lower edge of the bin)",
            label="without the first position",
        ),
    ],
]
headline = ("bae", "bae-released", "sae-relu", "sae-untrained", "transcoder")
figure, data = comparison.draw(table, titles, references, panels, headline)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "fig6_firing") + "\n" + comparison.findings(data, panels))
