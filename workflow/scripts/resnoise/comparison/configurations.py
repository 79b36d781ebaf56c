"""Find differences between two configurations, and between the records of two sets of runs."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from resnoise.config.schema import leaves
from resnoise.secrets import masked

# Keys that only name folders: results do not depend on them.
_PLACES = {"results", "downloads", "store"}
# Facts about a session of a run that can change results in their last digits.
_HARDWARE = ("device", "processor", "python")


def differences(baseline: Mapping[str, Any], variant: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table of the keys with different values; columns key, baseline and variant (JSON).

    A list counts as one value. The value of a key that a configuration lacks is "". The keys
    ``results``, ``downloads`` and ``store`` are ignored.
    """
    return _table(leaves(baseline), leaves(variant), _PLACES)


def _table(
    baseline: Mapping[str, Any], variant: Mapping[str, Any], without: set[str]
) -> pd.DataFrame:
    keys = [key for key in dict.fromkeys([*baseline, *variant]) if key not in without]
    rows = [
        {"key": key, "baseline": _text(baseline, key), "variant": _text(variant, key)}
        for key in keys
        if _text(baseline, key) != _text(variant, key)
    ]
    return pd.DataFrame(rows, columns=["key", "baseline", "variant"])


def _text(values: Mapping[str, Any], key: str) -> str:
    return masked(json.dumps(values[key])) if key in values else ""


def run_differences(
    baseline: Mapping[str, Mapping[str, Any]], variant: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return sentences on the differences between the runs of both folders, from their records.

    They are about the runs' specifications, data, code, devices and versions of packages. A reader
    can see from them whether anything else has changed than intended.

    Args:
        baseline: ``resnoise.comparison.roots.ResultsRoot.runs`` of one folder.
        variant: the same for the other folder.
    """
    common = [name for name in baseline if name in variant]
    found = [f"{len(common)} runs are in both folders."]
    for runs, others, which in ((baseline, variant, "baseline"), (variant, baseline, "variant")):
        if alone := [name for name in runs if name not in others]:
            found.append(f"Only in the {which}: {', '.join(alone)}.")
    if not common:
        return found
    counts: Counter[tuple[str, str, str]] = Counter()
    for name in common:
        old, new = baseline[name], variant[name]
        for part in (
            _table(leaves(old["spec"]), leaves(new["spec"]), set()),
            _table(_session(old["session"]), _session(new["session"]), set()),
        ):
            counts.update(part.itertuples(index=False, name=None))
    for (key, before, after), count in counts.items():
        found.append(
            f"`{key}` is {before or 'absent'} in the baseline and {after or 'absent'} in the "
            f"variant ({count} of {len(common)} runs)."
        )
    for digest, what in (
        ("data_digest", "on the same pictures"),
        ("code_digest", "by the same code"),
    ):
        same = sum(baseline[name][digest] == variant[name][digest] for name in common)
        found.append(f"Trained {what}: {same} of {len(common)} runs.")
    return found


def _session(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts about a session that can change results in their last digits."""
    facts = {key: session.get(key) for key in _HARDWARE}
    return facts | dict(session.get("packages", {}))
