# The data set (appendix A): downloaded once, and prepared once for each configuration.


rule download_cifar10:
    """Download the archive of CIFAR-10 from the first mirror that has it."""
    output:
        CIFAR10,
    log:
        "<logs>/download_cifar10.log",
    benchmark:
        "<benchmarks>/download_cifar10.tsv"
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(60),
    params:
        script=script("download_cifar10.py"),
        options=download_options,
    shell:
        "python {params.script:q} {params.options:q} --output {output:q}" " > {log:q} 2>&1"


rule prepare_data:
    """Convert the source of pictures to one file with labels and channel statistics."""
    input:
        downloaded_archive(),
    output:
        "<results>/data.safetensors",
    log:
        "<logs>/prepare_data.log",
    benchmark:
        "<benchmarks>/prepare_data.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=rising(3000),
        runtime=rising(30),
    params:
        *code("prepare_data.py", "data.yaml", SOURCE.module),
        script=script("prepare_data.py"),
        spec=data_spec,
        source=source_option,
        running=running("prepare_data.py", "data.yaml", SOURCE.module),
        store=store,
    shell:
        "python {params.script:q} --code {params.running:q} {params.store:q} --spec {params.spec:q} {params.source:q}"
        " --output {output:q} > {log:q} 2>&1"
