"""Dominant gradient flow written out term by term, from the gradients of all paths."""

from torch import Tensor


def written_out(flow: Tensor, reading: str) -> list[tuple[Tensor, Tensor]]:
    """Return both parts [B, H, W] of each test of a reading, term by term."""
    paths, _, channels = flow.shape[:3]
    found = []
    if reading == "set":
        for c in range(channels):
            own = [flow[j, :, c] for j in range(paths) if j % channels == c]
            others = [flow[j, :, c] for j in range(paths) if j % channels != c]
            found.append((sum(own), sum(others)))
        return found
    for j in range(paths):
        c = j % channels
        if reading == "single":
            others = [flow[other, :, c] for other in range(paths) if other != j]
        else:
            others = [flow[j, :, other] for other in range(channels) if other != c]
        found.append((flow[j, :, c], sum(others)))
    return found


def shares_by_definition(flow: Tensor, reading: str) -> tuple[float, float]:
    """Return f of one picture by mean and by median, from G of a layer, [F, 1, C, H, W]."""
    tests = written_out(flow, reading)
    by_mean, by_median = 0, 0
    for own, rest in tests:
        pairs = zip(own.flatten().tolist(), rest.flatten().tolist(), strict=True)
        ratios = [
            0.0 if o == 0 and r == 0 else (abs(o / r) if r else float("inf")) for o, r in pairs
        ]
        by_mean += sum(ratios) / len(ratios) > 1
        by_median += sorted(ratios)[(len(ratios) - 1) // 2] > 1
    return by_mean / len(tests), by_median / len(tests)
