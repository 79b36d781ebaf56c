# Beyond the paper: generalisation bounds of the runs that test its conjecture, which measure predicts how
# networks generalise, and whether the conjecture survives (docs/conjecture.md).

import os

from resnoise import provenance


use rule table as conjecture_bounds with:
    """Generalisation bounds of all runs (Arora et al. 2018), and measures to compare them with."""
    input:
        files=conjecture_run_files("run.json"),
        measurements=conjecture_run_files(
            "evaluation.csv",
            "layer_cushion.csv",
            "interlayer_cushion.csv",
            "noise_stability.csv",
            "metrics/margin.csv",
            "metrics/bounds.csv",
        ),
        paper=[],
    output:
        **table("conjecture_bounds", "<results>/conjecture", category="Conjecture"),
    pathvars:
        table="conjecture/bounds",
    params:
        **made_by("tables.bounds", **keys("conjecture", "initialisation")),


use rule table as conjecture_prediction with:
    """Rank correlations of each measure with test error and generalisation gap, over all runs."""
    input:
        files="<results>/conjecture/bounds.csv",
        paper=[],
    output:
        **table("conjecture_prediction", "<results>/conjecture", category="Conjecture"),
    pathvars:
        table="conjecture/prediction",
    params:
        **made_by(
            "tables.prediction",
            **keys("conjecture", "equal_risk"),
            **bootstrap("conjecture"),
        ),


use rule figure as conjecture_prediction_figure with:
    """Which measure predicts: rank correlations with their intervals."""
    input:
        files="<results>/conjecture/prediction.csv",
    output:
        **figure(
            "conjecture_prediction_figure",
            "<results>/conjecture",
            category="Conjecture",
            caption="conjecture_prediction",
        ),
    pathvars:
        figure="conjecture/prediction_figure",
    params:
        **made_by("figures.prediction"),


rule conjecture_verdict:
    """Whether the conjecture survives: what follows from it, statement by statement."""
    input:
        files=conjecture_claim_files,
        statements=CONJECTURE,
    output:
        csv=with_digest("<results>/conjecture/verdict.csv"),
        markdown="<results>/conjecture/verdict.md",
        html=shown(
            "<results>/conjecture/verdict.html",
            "conjecture_verdict",
            "Conjecture",
            "Whether the conjecture survives",
        ),
    log:
        "<logs>/conjecture/verdict.log",
    benchmark:
        "<benchmarks>/conjecture/verdict.tsv"
    localrule: True
    conda:
        "../envs/claims.yaml"
    resources:
        mem_mb=rising(2000),
        runtime=rising(20),
    params:
        *code("conjecture.py", "claims.yaml"),
        provenance.text_digest(ROOT / "config" / "paper_schema.yaml"),
        script=script("conjecture.py"),
        files=conjecture_claim_spec,
        confidence=CONFIG["conjecture"]["confidence"],
        results=lambda wildcards, output: os.path.dirname(os.path.dirname(output.csv[0])),
        running=running("conjecture.py", "claims.yaml"),
        expected=expected_digests,
    shell:
        "python {params.script:q} --code {params.running:q} --expected {params.expected:q}"
        " --paper {input.statements:q} --results {params.results:q} --files {params.files:q}"
        " --settings '{{}}' --confidence {params.confidence:q} --csv {output.csv[0]:q}"
        " --markdown {output.markdown:q} > {log:q} 2>&1"
