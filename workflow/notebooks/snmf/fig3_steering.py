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
# # Steering
#
# **The paper** adds a feature's direction to the MLP output at strengths of equal KL and lets a language model rate
# fluency and concept from 0 to 2; a feature's score is its best cell.
#
# **Here** strengths are calibrated to the KL for both signs; fluency is the likelihood of the continuation under the
# model itself, concept the words that the direction promotes, without a judge. Dotted: random directions. A best
# cell of many is high by chance: `split half` chooses the cell on half of the samples and scores the other half.
#
# **What differs**: proxies, few features, short continuations.
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

table, references = read(scores), read_references("snmf")
panels = [
    [
        Panel("steering", "Steering", "score (0 to 2)", "kl", "KL (nats)", control="random directions"),
        Panel("concept", "Concept", "score (0 to 2)", "kl", "KL (nats)", control="random directions"),
        Panel("fluency", "Fluency", "score (0 to 2)", "kl", "KL (nats)", control="random directions"),
    ],
    [
        Panel("steering_best_cell", "Best cell", "score (0 to 2)", control="random directions"),
        Panel("steering_split_half", "Split half", "score (0 to 2)", control="random directions"),
        Panel("calibrated", "Calibrated", "share of strengths"),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "fig3_steering") + "\n" + comparison.findings(data, panels))
