"""Judge measured claims: from a quantity and a rule to a verdict with its reason."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from resnoise.claims.definition import Claim
from resnoise.claims.names import (
    DIRECTION,
    FAILED,
    INDEPENDENT,
    NOT_MEASURED,
    PAPER_SCALE,
    REDUCED_SCALE,
    REPRODUCED,
)
from resnoise.claims.operations import Array, NotMeasured, Value
from resnoise.claims.quantities import Results, measure
from resnoise.errors import ResnoiseError


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What became of a claim.

    Attributes:
        claim: the claim.
        measured: the measured quantity; None if it could not be measured.
        low: lower end of its interval; None for none.
        high: upper end of its interval; None for none.
        runs: number of runs (of each network) behind it; None: it is not about runs.
        verdict: one of ``resnoise.claims.names.VERDICTS``.
        scale: "paper" if all that the quantity depends on is as in the paper, "reduced" if not,
            "any" if it depends on nothing that could differ.
        reason: why the verdict is what it is.
        differences: in what that which the quantity depends on differs from the paper's.
    """

    claim: Claim
    measured: float | None
    low: float | None
    high: float | None
    runs: int | None
    verdict: str
    scale: str
    reason: str
    differences: tuple[str, ...]

    @property
    def label(self) -> str:
        """Return the verdict with the scale: nothing is just reproduced at a reduced scale."""
        if self.scale == REDUCED_SCALE and self.verdict != NOT_MEASURED:
            return f"{self.verdict}, at reduced scale"
        return self.verdict


def judge(
    claim: Claim,
    results: Results,
    differences: Mapping[str, Sequence[str]],
    confidence: float,
) -> Judgement:
    """Measure and judge a claim.

    Args:
        claim: the claim.
        results: the result files.
        differences: part of the configuration -> in what it differs from the paper's.
        confidence: of the bootstrap intervals.

    Raises:
        ResnoiseError: a result file or the claim has a mistake.
    """
    differing = tuple(text for part in claim.scale for text in differences.get(part, ()))
    try:
        value = measure(claim.quantity, results)
        margins = _margins(claim, value, results)
        if claim.runs is not None and (value.runs or 0) < claim.runs:
            differing = (*differing, f"{value.runs} runs instead of {claim.runs}")
    except NotMeasured as absence:
        return Judgement(
            claim,
            None,
            None,
            None,
            None,
            NOT_MEASURED,
            _scale(claim, differing),
            str(absence),
            differing,
        )
    except ResnoiseError as error:
        raise ResnoiseError(f"claim {claim.id}: {error}") from error
    if value.index is not None:
        raise ResnoiseError(f"claim {claim.id}: the quantity is a series; make it a number")
    estimate = float(value.values[0])
    scale = _scale(claim, differing)
    if not np.isfinite(estimate):
        reason = "the quantity is not a finite number"
        return Judgement(
            claim, None, None, None, value.runs, NOT_MEASURED, scale, reason, differing
        )
    interval = _interval(value, confidence)
    verdict, why = _verdict(claim, estimate, value, margins, confidence)
    low, high = interval or (None, None)
    reason = "; ".join(text for text in (why, _runs(claim, value)) if text)
    return Judgement(claim, estimate, low, high, value.runs, verdict, scale, reason, differing)


def _scale(claim: Claim, differing: Sequence[str]) -> str:
    """Return the scale of a judgement."""
    if differing:
        return REDUCED_SCALE
    return PAPER_SCALE if claim.scale else INDEPENDENT


def _margins(claim: Claim, value: Value, results: Results) -> list[tuple[str, Value]]:
    """Return by how much the quantity keeps each direction of the rule (positive: it does)."""
    margins = []
    for name, sign in (("greater", 1.0), ("less", -1.0)):
        bound = getattr(claim.rule, name)
        if bound is None:
            continue
        limit = measure(bound, results)
        margin = Value(sign * (value.values - limit.values), runs=value.runs)
        margins.append((f"{name} than {_number(float(limit.values[0]))}", margin))
    return margins


def _verdict(
    claim: Claim,
    estimate: float,
    value: Value,
    margins: list[tuple[str, Value]],
    confidence: float,
) -> tuple[str, str]:
    """Return the verdict and why."""
    broken = [text for text, margin in margins if not margin.values[0] > 0]
    if claim.published is not None:
        near, how = _near(claim, estimate)
        if broken:
            return FAILED, f"{how}, and not {broken[0]}"
        if near:
            return REPRODUCED, how
        if margins:
            return DIRECTION, f"{how}, but {margins[0][0]}"
        return FAILED, how
    if broken:
        return FAILED, f"not {broken[0]}"
    held = " and ".join(text for text, _ in margins)
    if value.runs == 1 and not claim.rule.one_run_suffices:
        return DIRECTION, f"{held}, but in a single run"
    if value.interval is not None:
        lows = [_own_margin(claim, value, text, margin) for text, margin in margins]
        clear = all(low > 0 for low in lows)
    elif (value.runs or 0) > 1 and not value.drawn:
        return DIRECTION, f"{held}, but without an interval over the {value.runs} runs"
    else:
        tail = (1 - confidence) / 2
        clear = all(_quantile(margin.values[1:], tail) > 0 for _, margin in margins)
    if clear:
        return REPRODUCED, held
    return DIRECTION, f"{held}, but not in the whole interval"


def _own_margin(claim: Claim, value: Value, text: str, margin: Value) -> float:
    """Return the margin at the end of the file's own interval that is nearer to the bound."""
    assert value.interval is not None
    low, high = value.interval
    estimate = float(value.values[0])
    kept = float(margin.values[0])
    return kept - (estimate - low if text.startswith("greater") else high - estimate)


def _near(claim: Claim, estimate: float) -> tuple[bool, str]:
    """Return whether a quantity is as near the published number as the rule wants, and in words."""
    assert claim.published is not None
    distance = abs(estimate - claim.published)
    if claim.rule.within is not None:
        relative = distance / abs(claim.published)
        how = f"{_percent(relative)} from the published number"
        if relative > 1:
            how = f"{estimate / claim.published:.3g} times the published number"
        side = "within" if relative <= claim.rule.within else "beyond"
        return relative <= claim.rule.within, f"{how}, {side} {_percent(claim.rule.within)}"
    limit = claim.rule.within_absolute
    assert limit is not None
    side = "within" if distance <= limit else "beyond"
    return distance <= limit, (
        f"{_number(distance)} from the published number, {side} {_number(limit)}"
    )


def _interval(value: Value, confidence: float) -> tuple[float, float] | None:
    """Return a quantity's interval: the file's own, or the bootstrap's over two seeds or more."""
    if value.interval is not None:
        return value.interval
    # Draws without the quantity (curves with no level in common, say) leave no honest interval.
    if not value.drawn or not np.isfinite(value.values).all():
        return None
    tail = (1 - confidence) / 2
    return _quantile(value.values[1:], tail), _quantile(value.values[1:], 1 - tail)


def _quantile(values: Array, share: float) -> float:
    """Return a quantile of the replicates; NaN, which is not above any bound, if one is."""
    return float(np.quantile(values, share))


def _runs(claim: Claim, value: Value) -> str:
    """Return on how many runs a quantity stands, where the verdict does not say so."""
    if value.drawn:
        return f"bootstrap over {value.runs} seeds"
    return "one run of each network" if value.runs == 1 and claim.published is not None else ""


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _number(value: float) -> str:
    return f"{value:.4g}"
