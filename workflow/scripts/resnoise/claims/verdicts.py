"""Judge measured claims: from a quantity and a rule to a verdict with its reason."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from resnoise.claims import scale as claim_scale
from resnoise.claims.definition import SCALE, Claim
from resnoise.claims.names import (
    DIRECTION,
    FAILED,
    INDEPENDENT,
    NOT_COMPARABLE,
    NOT_MEASURED,
    PAPER_SCALE,
    REDUCED_SCALE,
    REPRODUCED,
    fewer_runs,
    label,
)
from resnoise.claims.operations import Array, NotMeasured, Value
from resnoise.claims.quantities import Results, measure
from resnoise.errors import ResnoiseError
from resnoise.tables.text import short


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A claim with what was measured and the verdict.

    Attributes:
        claim: the claim.
        measured: the measured quantity; None if it could not be measured.
        low: lower end of its interval; None for none.
        high: upper end of its interval; None for none.
        runs: number of runs (of each network) behind it; None if it does not come from runs.
        verdict: one of ``resnoise.claims.names.VERDICTS``.
        scale: "paper" if all that the quantity depends on is as in the paper, "reduced" if not,
            "any" if the quantity depends on no part of the configuration.
        reason: why the verdict is what it is.
        differences: how the configuration differs from the paper's in the parts that the quantity
            depends on.
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
        """Return the verdict with its scale, for people."""
        return label(self.verdict, self.scale)


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
        differences: part of the configuration -> how it differs from the paper's (see
            ``resnoise.claims.scale.differences``).
        confidence: of the bootstrap intervals.

    Raises:
        ResnoiseError: a result file or the claim has a mistake.
    """
    by_part = {part: claim_scale.within(part, differences) for part in claim.scale}
    differing = tuple(dict.fromkeys(text for texts in by_part.values() for text in texts))
    # Fewer runs are not among them: their mean is less certain, but it is a mean of the same thing.
    incomparable = [part for part, texts in by_part.items() if texts]
    try:
        value = measure(claim.quantity, results)
        margins = _margins(claim, value, results)
        value = _as_certain_as(value, [margin.by for margin in margins])
        if claim.runs is not None and (value.runs or 0) < claim.runs:
            differing = (*differing, fewer_runs(value.runs or 0, claim.runs))
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
        raise ResnoiseError(
            f"claim {claim.id}: the quantity is a series, where a single number is needed; mean, "
            "largest or last make one of it"
        )
    estimate = float(value.values[0])
    scale = _scale(claim, differing)
    if not np.isfinite(estimate):
        reason = "the quantity is not a finite number"
        return Judgement(
            claim, None, None, None, value.runs, NOT_MEASURED, scale, reason, differing
        )
    interval = _interval(value, confidence)
    verdict, why = _verdict(claim, value, margins, incomparable, confidence)
    low, high = interval or (None, None)
    reason = "; ".join(text for text in (why, _runs(claim, value, why)) if text)
    return Judgement(claim, estimate, low, high, value.runs, verdict, scale, reason, differing)


def _scale(claim: Claim, differing: Sequence[str]) -> str:
    """Return the scale of a judgement."""
    if differing:
        return REDUCED_SCALE
    return PAPER_SCALE if claim.scale else INDEPENDENT


class _Margin(NamedTuple):
    """How far a quantity is on the side of a bound that a rule asks for.

    Attributes:
        sign: 1 if it should be greater than the bound, -1 if less.
        text: the direction in words.
        by: by how much it is; positive where the direction holds. Its runs are the bound's.
    """

    sign: float
    text: str
    by: Value


def _margins(claim: Claim, value: Value, results: Results) -> list[_Margin]:
    """Return the margin of each direction of a claim's rule."""
    margins = []
    for name, sign in (("greater", 1.0), ("less", -1.0)):
        bound = getattr(claim.rule, name)
        if bound is None:
            continue
        limit = measure(bound, results)
        difference = sign * (value.values - limit.values)
        by = dataclasses.replace(limit, values=difference, index=None, interval=None)
        margins.append(_Margin(sign, f"{name} than {short(float(limit.values[0]))}", by))
    return margins


def _as_certain_as(value: Value, others: Sequence[Value]) -> Value:
    """Return a value with the runs and draws of that which has fewest, among it and others."""
    parts = [part for part in (value, *others) if part.runs is not None]
    if not parts:
        return value
    runs = min(part.runs or 0 for part in parts)
    return dataclasses.replace(value, runs=runs, drawn=all(part.drawn for part in parts))


def _verdict(
    claim: Claim,
    value: Value,
    margins: list[_Margin],
    incomparable: Sequence[str],
    confidence: float,
) -> tuple[str, str]:
    """Return the verdict and why.

    Args:
        claim: the claim.
        value: its measured quantity.
        margins: what ``_margins`` returned.
        incomparable: parts of the configuration that the quantity depends on and that are not the
            paper's. If there are any, the published number is not compared, because neither a near
            nor a far number would mean anything.
        confidence: of the bootstrap intervals.
    """
    broken = [margin.text for margin in margins if not margin.by.values[0] > 0]
    if claim.published is not None and not incomparable:
        near, how = _near(claim, float(value.values[0]))
        if broken:
            return FAILED, f"{how}, and not {broken[0]}"
        if near:
            return REPRODUCED, how
        if margins:
            return DIRECTION, f"{how}, but {margins[0].text}"
        return FAILED, how
    if not margins:
        return NOT_COMPARABLE, _unlike(incomparable)
    if broken:
        return FAILED, f"not {broken[0]}"
    verdict, why = _direction(claim, value, margins, confidence)
    if claim.published is not None:
        return DIRECTION, f"{why}; number not compared ({_unlike(incomparable)})"
    return verdict, why


def _direction(
    claim: Claim, value: Value, margins: list[_Margin], confidence: float
) -> tuple[str, str]:
    """Return the verdict on directions that hold for the measured number, and why."""
    held = " and ".join(margin.text for margin in margins)
    if value.runs == 1 and not claim.rule.one_run_suffices:
        return DIRECTION, f"{held}, but in a single run"
    if value.interval is not None:
        clear = all(_own_margin(value, margin) > 0 for margin in margins)
    elif (value.runs or 0) > 1 and not value.drawn:
        return DIRECTION, f"{held}, but without an interval over the {value.runs} runs"
    else:
        if not all(np.isfinite(margin.by.values).all() for margin in margins):
            return (
                DIRECTION,
                f"{held}, but without an interval: some draws of seeds lack the number",
            )
        tail = (1 - confidence) / 2
        clear = all(_quantile(margin.by.values[1:], tail) > 0 for margin in margins)
    if clear:
        return REPRODUCED, held
    return DIRECTION, f"{held}, but not in the whole interval"


def _unlike(parts: Sequence[str]) -> str:
    """Return which parts of the configuration are not the paper's, for people."""
    return "not as in the paper: " + ", ".join(dict.fromkeys(SCALE[part] for part in parts))


def _own_margin(value: Value, margin: _Margin) -> float:
    """Return the margin at the end of the file's own interval that is nearer to the bound."""
    assert value.interval is not None
    low, high = value.interval
    estimate = float(value.values[0])
    return float(margin.by.values[0]) - (estimate - low if margin.sign > 0 else high - estimate)


def _near(claim: Claim, estimate: float) -> tuple[bool, str]:
    """Return whether a quantity is as near the published number as the rule wants, and in words."""
    assert claim.published is not None
    distance = abs(estimate - claim.published)
    if claim.rule.within is not None:
        relative = distance / abs(claim.published)
        how = f"{_percent(relative)} away from the published number"
        if relative > 1:
            how = f"{estimate / claim.published:.3g} times the published number"
        near, allowed = relative <= claim.rule.within, _percent(claim.rule.within)
    else:
        limit = claim.rule.within_absolute
        assert limit is not None
        how = f"{short(distance)} away from the published number"
        near, allowed = distance <= limit, short(limit)
    return near, f"{how} ({allowed} {'is' if near else 'would be'} allowed)"


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
    """Return a quantile of the replicates."""
    return float(np.quantile(values, share))


def _runs(claim: Claim, value: Value, why: str) -> str:
    """Return how many runs are behind a quantity, where ``why`` does not say so."""
    if value.drawn:
        return f"bootstrap over {value.runs} seeds"
    single = value.runs == 1 and claim.published is not None and "single run" not in why
    return "one run of each network" if single else ""


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
