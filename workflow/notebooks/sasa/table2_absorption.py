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
# # First-letter absorption
#
# **The paper** measures how often the latent of a first letter stays silent on a word of that letter while another
# one carries the letter (SAEBench).
#
# **Here** the same on words of one token, as far as the model can spell: its accuracy is in the score table. Lower
# is better, but a dictionary without letter latents cannot have them absorbed: read it beside F1 of the main
# latents.
#
# **What differs**: a model that spells few words.
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
        Panel("absorption_fraction", "Absorption", "mean fraction"),
        Panel("full_absorption", "Full", "share of words"),
    ],
    [
        Panel("main_latent_f1", "Main latents", "F1"),
        Panel("main_latents", "Splitting", "latents per letter"),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem, comparison.printed(data, panels))
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "table2_absorption") + "\n" + comparison.findings(data, panels))
