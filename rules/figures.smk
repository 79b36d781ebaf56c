# Figures, each with the data behind it.


rule training_curves:
    """Training risk and test error against epoch for the runs of Table 1."""
    input:
        histories=run_files(grid.table1_runs(CONFIG), "history.csv"),
        records=run_files(grid.table1_runs(CONFIG), "run.json"),
    output:
        pdf="<results>/training_curves.pdf",
        png=report(
            "<results>/training_curves.png",
            caption="../config/captions/training_curves.rst",
            category="Figures",
            labels={"result": "Training curves"},
        ),
        csv="<results>/training_curves.csv",
    log:
        "<logs>/training_curves.log",
    benchmark:
        "<benchmarks>/training_curves.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("training_curves.py", "analysis.yaml"),
        script=script("training_curves.py"),
    shell:
        "python {params.script:q} --histories {input.histories:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"


rule network_layers:
    """List the layers of the networks of figures 4 and 5, read from the networks themselves."""
    input:
        data="<results>/data.safetensors",
    output:
        "<results>/network_layers.csv",
    log:
        "<logs>/network_layers.log",
    benchmark:
        "<benchmarks>/network_layers.tsv"
    localrule: True
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=rising(2000),
        runtime=rising(10),
    params:
        *code("network_layers.py", "torch.yaml"),
        script=script("network_layers.py"),
        networks=drawn_networks(),
        modules=[network_code("network_layers.py", name) for name in grid.DRAWN],
    shell:
        "python {params.script:q} {params.networks:q} --data {input.data:q} --output {output:q}"
        " > {log:q} 2>&1"


rule figure4:
    """Figure 4 (appendix A): plain and residual networks of appendix A, layer by layer."""
    input:
        layers="<results>/network_layers.csv",
    output:
        pdf="<results>/figure4.pdf",
        png=report(
            "<results>/figure4.png",
            caption="../config/captions/figure4.rst",
            category="Figures",
            labels={"result": "Figure 4"},
        ),
        csv="<results>/figure4.csv",
    log:
        "<logs>/figure4.log",
    benchmark:
        "<benchmarks>/figure4.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("figure4.py", "analysis.yaml"),
        script=script("figure4.py"),
    shell:
        "python {params.script:q} --layers {input.layers:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"


rule figure5:
    """Figure 5 (appendix A): blocks of simplified and of fully-fledged networks."""
    input:
        layers="<results>/network_layers.csv",
    output:
        pdf="<results>/figure5.pdf",
        png=report(
            "<results>/figure5.png",
            caption="../config/captions/figure5.rst",
            category="Figures",
            labels={"result": "Figure 5"},
        ),
        csv="<results>/figure5.csv",
    log:
        "<logs>/figure5.log",
    benchmark:
        "<benchmarks>/figure5.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("figure5.py", "analysis.yaml"),
        script=script("figure5.py"),
    shell:
        "python {params.script:q} --layers {input.layers:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"
