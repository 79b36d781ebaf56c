# What measurements, tables and figures have in common; their rules say the rest (`use rule ... as`).
# Parameters have names here, because Snakemake replaces positional ones with a warning.


rule measurement:
    """(What all measurements of a run have in common; a killed job continues.)"""
    input:
        data="<results>/data.safetensors",
        weights="<run>/weights.safetensors",
        snapshots="<run>/snapshots.safetensors",
        record="<run>/run.json",
    output:
        csv=with_digest("<run>/<metric>.csv"),
    log:
        "<logs>/<metric>/<name>.log",
    benchmark:
        "<benchmarks>/<metric>/<name>.tsv"
    pathvars:
        metric="measurement",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **computing(runtime=120),
    params:
        script=script("measure.py"),
        code=code("measure.py", "torch.yaml"),
        spec="{}",
        folder=lambda wildcards, input: os.path.dirname(input.record),
    shell:
        "python {params.script:q} {params.name:q} --spec {params.spec:q} --run {params.folder:q}"
        " --data {input.data:q} --output {output:q} --device {resources.device}"
        " --threads {threads} --memory-mb {resources.memory_mb} > {log:q} 2>&1"


rule figure:
    """(What all figures have in common.)"""
    input:
        files=unnamed,
    log:
        "<logs>/<figure>.log",
    benchmark:
        "<benchmarks>/<figure>.tsv"
    pathvars:
        figure="figure",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(2000),
        runtime=rising(20),
    params:
        script=script("figure.py"),
    shell:
        "python {params.script:q} {params.name:q} --files {input.files:q} --options {params.options:q}"
        " --output {output:q} > {log:q} 2>&1"


rule table:
    """(What all tables have in common.)"""
    input:
        files=unnamed,
        paper=PAPER,
    log:
        "<logs>/<table>.log",
    benchmark:
        "<benchmarks>/<table>.tsv"
    pathvars:
        table="table",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(2000),
        runtime=rising(20),
    params:
        script=script("table.py"),
    shell:
        "python {params.script:q} {params.name:q} --files {input.files:q} --paper {input.paper:q}"
        " --options {params.options:q} --output {output:q} > {log:q} 2>&1"
