def pinned_wheel(wildcards):
    """The registry entry of a wheel, without the member that is read from it: several entries may share one wheel."""
    for registry in (PLAN.models, PLAN.datasets):
        for candidate in registry.values():
            source = candidate.source
            if isinstance(source, PypiSource) and source.wheel == wildcards.wheel:
                return spec(type="pypi", project=source.project, version=source.version, sha256=source.sha256)
    raise UnweaveError(f"no entry of the registries uses the wheel {wildcards.wheel}")


rule fetch:
    """Download one pinned wheel from the Python package index."""
    output:
        "results/downloads/{wheel}.whl",
    log:
        "logs/fetch/{wheel}.log",
    benchmark:
        "logs/benchmarks/fetch/{wheel}.jsonl"
    conda:
        "../../envs/environment.yaml"
    params:
        spec=pinned_wheel,
    threads: 1
    resources:
        mem_mb=500,
        runtime=20,
    shell:
        "python -m unweave fetch --spec {params.spec:q} --output {output} > {log} 2>&1"


rule model:
    """Obtain one language model as a folder that transformers loads offline."""
    input:
        download=lambda wildcards: wheel_of(PLAN.models[wildcards.model]),
    output:
        MODEL,
    log:
        "logs/model/{model}.log",
    benchmark:
        "logs/benchmarks/model/{model}.jsonl"
    conda:
        "../../envs/environment.yaml"
    params:
        spec=lambda wildcards: spec(**entry(PLAN.models, wildcards.model)),
        code=fingerprint("unweave.models.prepare"),
        download=download_option,
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    shell:
        "python -m unweave model {wildcards.model} --spec {params.spec:q} {params.download} --output {output} > {log} 2>&1"
