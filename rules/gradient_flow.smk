# Dominant gradient flow (appendices D.2 and D.4): measured on each run, with its table and figures.

from resnoise.plan import grid


use rule measurement as gradient_flow with:
    """Measure the dominant gradient flow of every layer before, during and after training."""
    output:
        flow=with_digest("<run>/gradient_flow.csv"),
        features=with_digest("<run>/feature_gradients.csv"),
    pathvars:
        metric="gradient_flow",
    params:
        **measured_by("gradient_flow", gradient_flow_spec),


use rule figure as figure12 with:
    """Figure 12 (appendix D.4.2): dominant gradient flow f against layer, and against epoch."""
    input:
        files=run_files(grid.gradient_flow_runs(CONFIG), "gradient_flow.csv"),
    output:
        **figure("figure12"),
    pathvars:
        figure="figure12",
    params:
        **made_by("figures.figure12", **keys("gradient_flow", "reading", "layers")),


use rule table as figure12_ratios with:
    """Dominant gradient flow f of residual relative to plain networks, beside the paper's ratios."""
    input:
        files=run_files(grid.gradient_flow_runs(CONFIG), "gradient_flow.csv"),
        paper=PAPER,
    output:
        **table("figure12_ratios"),
    pathvars:
        table="figure12_ratios",
    params:
        **made_by(
            "tables.gradient_flow", **keys("gradient_flow", "reading", "layers", "shallow_share")
        ),


use rule judgement as figure12_readings with:
    """What the paper says of Figure 12, judged by three readings of its flow, side by side."""
    input:
        files=claim_paths(flow_claims),
        paper=PAPER,
    output:
        **table("figure12_readings"),
    pathvars:
        judgement="figure12_readings",
    params:
        **judged_by("readings.py", flow_claims),


use rule figure as figure10 with:
    """Figure 10 (appendix D.4.1): entries of dR/da of residual networks, and a fitted normal."""
    input:
        files=run_files(grid.figure10_runs(CONFIG), "feature_gradients.csv"),
    output:
        **figure("figure10"),
    pathvars:
        figure="figure10",
    params:
        **made_by("figures.figure10"),
