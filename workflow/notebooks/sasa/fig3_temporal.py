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
# # Whether days and months lie on a circle
#
# **The paper** shows principal components of the codes of one group: days and months in the order of the calendar.
#
# **Here** the unit that best tells the family from other nouns is chosen on half of the templates; on the other half
# its codes are regressed on the circle of the calendar, whole templates held out. Hollow: units drawn at random
# among those that fire. Dictionaries without groups get as many single codes.
#
# **What differs**: years are several tokens in this model and are left out; the permutation test is in the score
# table.
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
by_chance = {"control": "random units", "control_title": "95 % of random units"}
panels = [
    [
        Panel("circular_r2", f"R², {family}s", "circular R²", dataset=family, **by_chance, limit=0)
        for family in ("weekday", "month")
    ],
    [
        Panel("order_alignment", f"Order, {family}s", "alignment", dataset=family, **by_chance)
        for family in ("weekday", "month")
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "fig3_temporal") + "\n" + comparison.findings(data, panels))
