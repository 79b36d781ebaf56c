"""In which keys two configurations differ, and in what the records of two sets of runs do."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from resnoise.config.schema import leaves

# Places: what they hold does not depend on them.
_PLACES = {"results", "downloads"}
# What a session of a run says that can make numbers differ in their last digits.
_HARDWARE = ("device", "processor", "python")


def differences(baseline: Mapping[str, Any], variant: Mapping[str, Any]) -> pd.DataFrame:
    """Return the keys with different values: columns key, baseline, variant (JSON).

    Lists count as one value. A key that one configuration does not have is empty there. The folders
    of results and downloads do not count.
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
    return json.dumps(values[key]) if key in values else ""


def run_differences(
    baseline: Mapping[str, Mapping[str, Any]], variant: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return what the records say about runs that both folders have, one sentence each.

    Their specifications, the data, the program, the device and the versions of packages: what a
    comparison of a single change relies on.

    Args:
        baseline: ``resnoise.comparison.roots.ResultsRoot.runs`` of one folder.
        variant: that of the other.
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
    """Return what of a session can make numbers differ."""
    facts = {key: session.get(key) for key in _HARDWARE}
    return facts | dict(session.get("packages", {}))
