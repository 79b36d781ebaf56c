"""Durations in words."""


def duration(seconds: float) -> str:
    """Return a duration in words with at most two units, such as "2 h 05 min"."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"
