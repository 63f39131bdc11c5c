rule text:
    """Prepare one data set: deduplicated, split by document, as an Arrow folder."""
    input:
        unpack(lambda wildcards: source_files(PLAN.datasets[wildcards.dataset])),
    output:
        TEXT,
    log:
        "logs/text/{dataset}.log",
    benchmark:
        "logs/benchmarks/text/{dataset}.jsonl"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        spec=lambda wildcards: spec(**entry(PLAN.datasets, wildcards.dataset)),
        code=lambda wildcards: fingerprint(
            "unweave.datasets.prepare",
            f"unweave.datasets.readers.{PLAN.datasets[wildcards.dataset].reader}",
        ),
        download=download_option,
    shell:
        "python -m unweave text {wildcards.dataset:q} --spec {params.spec:q} {params.download:q}"
        " --output {output:q} > {log:q} 2>&1"
