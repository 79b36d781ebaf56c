"""Estimate when all jobs will be done: each waiting job starts as soon as another one ends."""

import heapq
import statistics
from collections.abc import Sequence

from resnoise.live.jobs import TWINS
from resnoise.live.states import ACTIVE, PENDING, State, Status
from resnoise.plan.estimates import train_work

# Jobs in these states are left out, because it is unknown whether and when they will be done.
LEFT_OUT = {State.STALLED, State.FAILED}


def seconds_left(statuses: Sequence[Status]) -> float | None:
    """Estimate the seconds until all jobs that are not in ``LEFT_OUT`` are done, None if unknown.

    The estimate assumes that as many jobs run side by side as now (stalled ones not counted), and
    that a waiting job has the median speed of finished and running jobs: of those with the same
    network if there are any, else of all.
    """
    running = [status for status in statuses if status.state in ACTIVE]
    places = [status.left for status in running if status.left is not None]
    if not running or len(places) < len(running):
        return None
    heapq.heapify(places)
    paces = _paces(statuses)
    for status in statuses:
        if status.state in PENDING:
            work = _work_left(status)
            own = paces.get(status.job.name) or [p for group in paces.values() for p in group]
            if work is None or not own:
                return None
            heapq.heapreplace(places, places[0] + work * statistics.median(own))
    return max(places)


def _paces(statuses: Sequence[Status]) -> dict[str, list[float]]:
    """Return name of the network -> seconds per unit of work (see ``train_work``) of its jobs."""
    paces: dict[str, list[float]] = {}
    for status in statuses:
        work, left = _work(status), _work_left(status)
        pace = None
        if work and status.seconds and status.epochs:
            # A diverged run has done only a part of its epochs.
            pace = status.seconds / (work * status.progress / status.epochs)
        elif status.state in ACTIVE and status.left and left:
            pace = status.left / left
        if pace:
            paces.setdefault(status.job.name, []).append(pace)
    return paces


def _work(status: Status) -> float | None:
    """Return the work of a whole job, None if its specification is unknown."""
    if status.job.plan is None:
        return None
    networks = 2 if status.job.name.startswith(TWINS) else 1
    return networks * train_work(status.job.plan.spec)


def _work_left(status: Status) -> float | None:
    """Return the part of a job's work that is still to be done, None if unknown or not expected."""
    work = _work(status)
    if work is None or status.state not in ACTIVE | PENDING:
        return None
    return work * (1 - status.progress / status.epochs) if status.epochs else work
