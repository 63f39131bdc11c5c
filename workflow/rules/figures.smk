FILES = dict(
    png=report(
        f"{FIGURE}.png",
        caption="../report/figure.rst",
        category="{paper}",
        labels=labels("image"),
    ),
    svg=f"{FIGURE}.svg",
    csv=report(
        f"{FIGURE}.csv",
        caption="../report/figure.rst",
        category="{paper}",
        labels=labels("data"),
    ),
    notebook=f"{FIGURE}.ipynb",
    page=f"{FIGURE}.html",
)


rule figure:
    """Execute the notebook of one figure."""
    input:
        notebook=notebook_source,
        scores=lambda wildcards: figure_scores(wildcards.paper, wildcards.item),
        references=lambda wildcards: figure_references(wildcards.paper, wildcards.item),
    output:
        **FILES,
    log:
        "logs/figure/{paper}/{item}.log",
    benchmark:
        "logs/benchmarks/figure/{paper}/{item}.jsonl"
    wildcard_constraints:
        item=items_of("figure"),
    retries: 1
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=20,
    params:
        title=lambda wildcards: figure_entry(wildcards).title,
        spec=lambda wildcards: spec(titles=figure_titles()),
        code=lambda wildcards: fingerprint_of_script(PROJECT / figure_entry(wildcards).notebook),
    shell:
        "python -m unweave figure {input.notebook:q} {input.scores:q} {input.references:q} --spec {params.spec:q}"
        " --output {output.notebook:q} > {log:q} 2>&1"


use rule figure as table with:
    output:
        **FILES,
        markdown=f"{FIGURE}.md",
        latex=f"{FIGURE}.tex",
    log:
        "logs/table/{paper}/{item}.log",
    benchmark:
        "logs/benchmarks/table/{paper}/{item}.jsonl"
    wildcard_constraints:
        item=items_of("table"),


rule checklist:
    """List what the papers print and what became of it."""
    input:
        checklist=os.path.relpath(PROJECT / "resources/checklist.yaml"),
        figures=os.path.relpath(PLAN.folder / "figures.yaml"),
    output:
        "figures/checklist.csv",
    log:
        "logs/checklist.log",
    benchmark:
        "logs/benchmarks/checklist.jsonl"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=20,
    params:
        code=lambda wildcards: fingerprint("unweave.results.checklist"),
    shell:
        "python -m unweave checklist {input.checklist:q} {input.figures:q} --output {output:q} > {log:q} 2>&1"


rule index:
    """One page with every figure, that opens from disk."""
    input:
        checklist="figures/checklist.csv",
        template=os.path.relpath(PROJECT / "src/unweave/results/templates/index.html"),
        figures=[
            path
            for paper, item in ITEMS
            for path in expand(f"figures/{paper}/{item}{{suffix}}", suffix=[".png", ".csv"])
        ],
    output:
        "figures/index.html",
    log:
        "logs/index.log",
    benchmark:
        "logs/benchmarks/index.jsonl"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=20,
    params:
        spec=lambda wildcards: spec(
            items=[
                dict(
                    paper=paper,
                    item=item,
                    **PLAN.figures[paper][item].model_dump(include={"title", "needs"}),
                )
                for paper, item in ITEMS
            ]
        ),
        code=lambda wildcards: fingerprint("unweave.results.index_page"),
    shell:
        "python -m unweave index {input.checklist:q} --spec {params.spec:q} --output {output:q} > {log:q} 2>&1"


rule freeze:
    """Keep the score tables of this run, from which `make figures-frozen` draws."""
    input:
        ALL_SCORES,
    output:
        sums="resources/frozen/SHA256SUMS",
    log:
        "logs/freeze.log",
    benchmark:
        "logs/benchmarks/freeze.jsonl"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=20,
    shell:
        "python -m unweave freeze {input:q} --output {output.sums:q} > {log:q} 2>&1"


# `snakemake --cores all ica` makes one paper's figures, `snakemake --cores all ica_fig3_nongaussianity` or `ica_fig3` one of
# them, and `snakemake --cores all scorecard` tests every claim.
for paper, items in PLAN.config.figures.items():

    rule:
        name:
            paper
        input:
            [path for item in items for path in figure_targets(paper, item)],
        localrule: True


for target, (paper, item) in item_targets().items():

    rule:
        name:
            target
        input:
            figure_targets(paper, item),
        localrule: True
