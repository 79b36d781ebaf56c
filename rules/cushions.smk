# Noise stability (section 5): layer cushions and what noise does, measured on each run; their table
# and figures.


rule layer_cushion:
    """Measure the cushion of every layer for each picture; a killed job continues."""
    input:
        data="<results>/data.safetensors",
        weights=f"<results>/{RUN}/weights.safetensors",
        snapshots=f"<results>/{RUN}/snapshots.safetensors",
        record=f"<results>/{RUN}/run.json",
    output:
        csv=with_digest(f"<results>/{RUN}/layer_cushion.csv"),
    log:
        "<logs>/layer_cushion/{architecture}-{depth}-{initialisation}-seed{seed}.log",
    benchmark:
        "<benchmarks>/layer_cushion/{architecture}-{depth}-{initialisation}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000 + CONFIG["layer_cushion"]["memory_mb"]),
        runtime=rising(120),
        gpu=GPUS,
        device=CONFIG["device"],
        memory_mb=CONFIG["layer_cushion"]["memory_mb"],
    params:
        *code("layer_cushion.py", "torch.yaml"),
        script=script("layer_cushion.py"),
        spec=section_spec("layer_cushion", LayerCushionSpec),
        network=metric_code("layer_cushion.py"),
    shell:
        "python {params.script:q} --spec {params.spec:q} --record {input.record:q}"
        " --weights {input.weights:q} --snapshots {input.snapshots:q} --data {input.data:q}"
        " --output {output.csv[0]:q} --device {resources.device} --threads {threads}"
        " --memory-mb {resources.memory_mb} > {log:q} 2>&1"


rule noise_stability:
    """Put noise on one layer after the other; a killed job continues."""
    input:
        data="<results>/data.safetensors",
        weights=f"<results>/{RUN}/weights.safetensors",
        snapshots=f"<results>/{RUN}/snapshots.safetensors",
        record=f"<results>/{RUN}/run.json",
    output:
        csv=with_digest(f"<results>/{RUN}/noise_stability.csv"),
    log:
        "<logs>/noise_stability/{architecture}-{depth}-{initialisation}-seed{seed}.log",
    benchmark:
        "<benchmarks>/noise_stability/{architecture}-{depth}-{initialisation}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000 + CONFIG["noise_stability"]["memory_mb"]),
        runtime=rising(240),
        gpu=GPUS,
        device=CONFIG["device"],
        memory_mb=CONFIG["noise_stability"]["memory_mb"],
    params:
        *code("noise_stability.py", "torch.yaml"),
        script=script("noise_stability.py"),
        spec=section_spec("noise_stability", NoiseStabilitySpec),
        network=metric_code("noise_stability.py"),
    shell:
        "python {params.script:q} --spec {params.spec:q} --record {input.record:q}"
        " --weights {input.weights:q} --snapshots {input.snapshots:q} --data {input.data:q}"
        " --output {output.csv[0]:q} --device {resources.device} --threads {threads}"
        " --memory-mb {resources.memory_mb} > {log:q} 2>&1"


rule layer_cushion_table:
    """Layer cushions of all layers; in how many the residual one is larger, and the paper's count."""
    input:
        cushions=run_files(grid.layer_cushion_runs(CONFIG), "layer_cushion.csv"),
        records=run_files(grid.layer_cushion_runs(CONFIG), "run.json"),
        paper=PAPER,
    output:
        csv=with_digest("<results>/layer_cushion.csv"),
        counts=with_digest("<results>/layer_cushion_counts.csv"),
        markdown=report(
            "<results>/layer_cushion.md",
            caption="../config/captions/layer_cushion.rst",
            category="Tables",
            labels={"result": "Layer cushions"},
        ),
    log:
        "<logs>/layer_cushion_table.log",
    benchmark:
        "<benchmarks>/layer_cushion_table.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(4000),
        runtime=rising(30),
    params:
        *code("layer_cushion_table.py", "analysis.yaml"),
        script=script("layer_cushion_table.py"),
        bootstrap=bootstrap_options("layer_cushion"),
    shell:
        "python {params.script:q} --cushions {input.cushions:q} --paper {input.paper:q}"
        " {params.bootstrap} --csv {output.csv[0]:q} --counts {output.counts[0]:q}"
        " --markdown {output.markdown:q} > {log:q} 2>&1"


rule figure3:
    """Figure 3: per-sample layer cushions of every layer, plain against residual."""
    input:
        cushions=run_files(grid.layer_cushion_runs(CONFIG), "layer_cushion.csv"),
        records=run_files(grid.layer_cushion_runs(CONFIG), "run.json"),
    output:
        pdf="<results>/figure3.pdf",
        png=report(
            "<results>/figure3.png",
            caption="../config/captions/figure3.rst",
            category="Figures",
            labels={"result": "Figure 3"},
        ),
        csv=with_digest("<results>/figure3.csv"),
    log:
        "<logs>/figure3.log",
    benchmark:
        "<benchmarks>/figure3.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(4000),
        runtime=rising(30),
    params:
        *code("figure3.py", "analysis.yaml"),
        script=script("figure3.py"),
    shell:
        "python {params.script:q} --cushions {input.cushions:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q} > {log:q} 2>&1"


rule figure3_snapshots:
    """Figure 3 at every snapshot that was measured (layer_cushion.every_snapshot)."""
    input:
        cushions=run_files(grid.layer_cushion_runs(CONFIG), "layer_cushion.csv"),
        records=run_files(grid.layer_cushion_runs(CONFIG), "run.json"),
    output:
        pdf="<results>/figure3_snapshots.pdf",
        png=report(
            "<results>/figure3_snapshots.png",
            caption="../config/captions/figure3_snapshots.rst",
            category="Figures",
            labels={"result": "Figure 3, snapshots"},
        ),
        csv=with_digest("<results>/figure3_snapshots.csv"),
    log:
        "<logs>/figure3_snapshots.log",
    benchmark:
        "<benchmarks>/figure3_snapshots.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(4000),
        runtime=rising(30),
    params:
        *code("figure3_snapshots.py", "analysis.yaml"),
        script=script("figure3_snapshots.py"),
    shell:
        "python {params.script:q} --cushions {input.cushions:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q} > {log:q} 2>&1"


rule noise_stability_figure:
    """What noise on weights and inputs of each layer does to the output."""
    input:
        stability=run_files(grid.noise_stability_runs(CONFIG), "noise_stability.csv"),
        records=run_files(grid.noise_stability_runs(CONFIG), "run.json"),
    output:
        pdf="<results>/noise_stability.pdf",
        png=report(
            "<results>/noise_stability.png",
            caption="../config/captions/noise_stability.rst",
            category="Figures",
            labels={"result": "Noise in one layer"},
        ),
        csv=with_digest("<results>/noise_stability.csv"),
    log:
        "<logs>/noise_stability.log",
    benchmark:
        "<benchmarks>/noise_stability.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(4000),
        runtime=rising(30),
    params:
        *code("noise_stability_figure.py", "analysis.yaml"),
        script=script("noise_stability_figure.py"),
    shell:
        "python {params.script:q} --stability {input.stability:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q} > {log:q} 2>&1"
