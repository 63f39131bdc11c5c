rule figure:
    """Execute the notebook of one figure or table."""
    input:
        notebook=notebook_source,
        scores=lambda wildcards: figure_scores(wildcards.paper, wildcards.item),
        references=lambda wildcards: os.path.relpath(PROJECT / f"resources/references/{wildcards.paper}.yaml"),
    output:
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
    log:
        "logs/figure/{paper}/{item}.log",
    benchmark:
        "logs/benchmarks/figure/{paper}/{item}.jsonl"
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
        "python -m unweave figure {input.notebook} {input.scores} --spec {params.spec:q} --output {output.notebook} > {log} 2>&1"


# `snakemake --cores all ica` makes one paper's figures, `snakemake --cores all ica_fig3_nongaussianity` one of them.
for paper, items in PLAN.config.figures.items():

    rule:
        name:
            paper
        input:
            [path for item in items for path in figure_targets(paper, item)],
        localrule: True

    for item in items:

        rule:
            name:
                f"{paper}_{item}"
            input:
                figure_targets(paper, item),
            localrule: True
