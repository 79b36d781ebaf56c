# Interlayer cushions (section 5): of every block exactly, of all spans of blocks with an error.


rule interlayer_cushion:
    """Measure the cushions of all spans of blocks for each picture; a killed job continues."""
    input:
        data="<results>/data.safetensors",
        weights=f"<results>/{RUN}/weights.safetensors",
        snapshots=f"<results>/{RUN}/snapshots.safetensors",
        record=f"<results>/{RUN}/run.json",
    output:
        csv=with_digest(f"<results>/{RUN}/interlayer_cushion.csv"),
    log:
        "<logs>/interlayer_cushion/{architecture}-{depth}-{initialisation}-seed{seed}.log",
    benchmark:
        "<benchmarks>/interlayer_cushion/{architecture}-{depth}-{initialisation}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000 + CONFIG["interlayer_cushion"]["memory_mb"]),
        runtime=rising(240),
        gpu=GPUS,
        device=CONFIG["device"],
        memory_mb=CONFIG["interlayer_cushion"]["memory_mb"],
    params:
        *code("interlayer_cushion.py", "torch.yaml"),
        script=script("interlayer_cushion.py"),
        spec=section_spec("interlayer_cushion", InterlayerCushionSpec),
        network=metric_code("interlayer_cushion.py"),
    shell:
        "python {params.script:q} --spec {params.spec:q} --record {input.record:q}"
        " --weights {input.weights:q} --snapshots {input.snapshots:q} --data {input.data:q}"
        " --output {output.csv[0]:q} --device {resources.device} --threads {threads}"
        " --memory-mb {resources.memory_mb} > {log:q} 2>&1"


rule interlayer_table:
    """Interlayer cushions of single blocks, residual beside plain, and the paper's number."""
    input:
        cushions=run_files(grid.interlayer_cushion_runs(CONFIG), "interlayer_cushion.csv"),
        records=run_files(grid.interlayer_cushion_runs(CONFIG), "run.json"),
        paper=PAPER,
    output:
        csv=with_digest("<results>/interlayer_blocks.csv"),
        markdown=report(
            "<results>/interlayer_blocks.md",
            caption="../config/captions/interlayer_blocks.rst",
            category="Tables",
            labels={"result": "Interlayer cushions of blocks"},
        ),
    log:
        "<logs>/interlayer_table.log",
    benchmark:
        "<benchmarks>/interlayer_table.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(2000),
        runtime=rising(20),
    params:
        *code("interlayer_table.py", "analysis.yaml"),
        script=script("interlayer_table.py"),
    shell:
        "python {params.script:q} --cushions {input.cushions:q} --paper {input.paper:q}"
        " --csv {output.csv[0]:q} --markdown {output.markdown:q} > {log:q} 2>&1"


rule interlayer_figure:
    """Heat maps of the interlayer cushions of all spans of blocks."""
    input:
        cushions=run_files(grid.interlayer_cushion_runs(CONFIG), "interlayer_cushion.csv"),
        records=run_files(grid.interlayer_cushion_runs(CONFIG), "run.json"),
    output:
        pdf="<results>/interlayer_cushion.pdf",
        png=report(
            "<results>/interlayer_cushion.png",
            caption="../config/captions/interlayer_cushion.rst",
            category="Figures",
            labels={"result": "Interlayer cushions of all spans"},
        ),
        csv=with_digest("<results>/interlayer_cushion.csv"),
    log:
        "<logs>/interlayer_figure.log",
    benchmark:
        "<benchmarks>/interlayer_figure.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(2000),
        runtime=rising(20),
    params:
        *code("interlayer_figure.py", "analysis.yaml"),
        script=script("interlayer_figure.py"),
    shell:
        "python {params.script:q} --cushions {input.cushions:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q} > {log:q} 2>&1"
