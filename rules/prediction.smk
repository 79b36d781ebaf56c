# Beyond the paper: generalisation bounds of the runs that test its conjecture, which measure predicts how
# networks generalise, and whether the conjecture survives (docs/conjecture.md).


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


use rule judgement as conjecture_verdict with:
    """Whether the conjecture survives: what follows from it, statement by statement."""
    input:
        files=claim_paths(conjecture_claims),
        paper=CONJECTURE,
    output:
        csv=with_digest("<results>/conjecture/verdict.csv"),
        markdown="<results>/conjecture/verdict.md",
        html=shown(
            "<results>/conjecture/verdict.html",
            "conjecture_verdict",
            "Conjecture",
            "Whether the conjecture survives",
        ),
    pathvars:
        judgement="conjecture/verdict",
    params:
        **judged_by("conjecture.py", conjecture_claims),
        settings="{}",
        options=["--confidence", CONFIG["conjecture"]["confidence"]],
