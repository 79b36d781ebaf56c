"""Whether the paper's conjecture survives: three verdicts on statements, and one sentence.

A statement holds, fails or is undecided; see config/conjecture.yaml, which has the statements. They
are measured and judged as the paper's claims are.
"""

import dataclasses
import math
from collections.abc import Sequence

import pandas as pd

from resnoise.claims.names import REPRODUCED
from resnoise.claims.page import measured
from resnoise.claims.verdicts import Judgement
from resnoise.tables.text import PENDING, Table, markdown_table, short

HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"
_NOTE = (
    "A statement holds if the whole interval is on its side, fails if the whole interval is on the "
    "other one, and is undecided otherwise. The conjecture survives if all statements hold, and "
    "does not if one fails. Intervals are those of the bootstrap over runs; runs with the same "
    "seed or of the same network are alike, so that they are too narrow. The statements and their "
    "rules are in config/conjecture.yaml."
)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A statement with its verdict.

    Attributes:
        judgement: the statement with what was measured.
        verdict: ``HOLDS``, ``FAILS`` or ``UNDECIDED``.
        reason: why, for people.
    """

    judgement: Judgement
    verdict: str
    reason: str


def decide(judgement: Judgement, bounds: dict[str, float]) -> Verdict:
    """Return the verdict on a statement.

    Args:
        judgement: the judged statement.
        bounds: "greater" or "less" -> what the measured number is compared with.
    """
    measured = judgement.measured
    if measured is None:
        return Verdict(judgement, UNDECIDED, judgement.reason)
    if judgement.verdict == REPRODUCED:
        return Verdict(judgement, HOLDS, judgement.reason)
    low, high = judgement.low, judgement.high
    if low is None or high is None or math.isnan(low + high):
        return Verdict(judgement, UNDECIDED, "there is no interval")
    for name, bound in bounds.items():
        if (high <= bound) if name == "greater" else (low >= bound):
            return Verdict(judgement, FAILS, f"not {name} than {short(bound)}")
    return Verdict(judgement, UNDECIDED, "the interval is on both sides")


def decide_all(judgements: Sequence[Judgement]) -> list[Verdict]:
    """Return the verdict on each statement, whose rules are numbers."""
    found = []
    for judgement in judgements:
        rule = judgement.claim.rule
        given = {"greater": rule.greater, "less": rule.less}
        bounds = {name: bound for name, bound in given.items() if isinstance(bound, float)}
        found.append(decide(judgement, bounds))
    return found


def sentence(verdicts: Sequence[Verdict]) -> str:
    """Return whether the conjecture survives, in one sentence, with how many statements do what."""
    counts = {
        name: sum(one.verdict == name for one in verdicts) for name in (HOLDS, FAILS, UNDECIDED)
    }
    if counts[FAILS]:
        outcome = "does not survive"
    elif counts[UNDECIDED] or not verdicts:
        outcome = "is undecided"
    else:
        outcome = "survives"
    return (
        f"The conjecture {outcome} on this data: of {len(verdicts)} statements, {counts[HOLDS]} "
        f"hold, {counts[FAILS]} fail and {counts[UNDECIDED]} are undecided."
    )


def table(verdicts: Sequence[Verdict]) -> Table:
    """Return the page to read and its numbers.

    Columns: id, place, statement, measured, measured_low, measured_high (empty where there is no
    interval), runs, verdict, reason.
    """
    rows = pd.DataFrame(
        {
            "id": one.judgement.claim.id,
            "place": one.judgement.claim.place,
            "statement": one.judgement.claim.statement,
            "measured": one.judgement.measured,
            "measured_low": one.judgement.low,
            "measured_high": one.judgement.high,
            "runs": one.judgement.runs,
            "verdict": one.verdict,
            "reason": one.reason,
        }
        for one in verdicts
    ).astype({"runs": "Int64"})
    header = ["link", "statement", "measured", "runs", "verdict", "reason"]
    lines = [
        [
            one.judgement.claim.place,
            one.judgement.claim.statement,
            measured(one.judgement),
            PENDING if one.judgement.runs is None else f"{one.judgement.runs}",
            one.verdict,
            one.reason,
        ]
        for one in verdicts
    ]
    parts = ["# The paper's conjecture", f"**{sentence(verdicts)}**"]
    parts += [markdown_table(header, lines), _NOTE]
    return Table("\n\n".join(parts) + "\n", rows)
