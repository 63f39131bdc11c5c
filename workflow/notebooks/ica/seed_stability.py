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
# # Whether another seed finds the same features
#
# **The paper** matches the directions of five fits one to one and shows the mean |cosine| and the share above 0.7.
#
# **Here** one more fit of each method with another seed, matched one to one; groups by the cosines of their
# principal angles. Hollow: the same for random directions.
#
# **What differs**: two seeds, and every method, not ICA alone.
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

table, references = read(scores), read_references("ica")
panels = [
    [
        Panel("matched_similarity", "Matched", "mean |cosine|", control="random directions"),
        Panel("found_again_0.7", "Found again", "share above 0.7", control="random directions"),
        Panel("found_again_0.9", "Found again", "share above 0.9", control="random directions"),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "seed_stability") + "\n" + comparison.findings(data, panels))
