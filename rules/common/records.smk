"""Records of how results were made, kept with the results."""

from pathlib import Path

from snakemake.logging import logger

from resnoise.errors import ResnoiseError
from resnoise.plan import records


def exchange_records():
    """Keep Snakemake's records with the results, and take over those that came with them."""
    results = Path(CONFIG["results"])
    if not results.is_dir():
        return
    try:
        known = records.exchange(results)
        unknown = [
            file for file in records.outputs(results) if records.record_name(str(file)) not in known
        ]
        if unknown and CONFIG["store"]:
            # Imported here, because it needs numpy, and that takes time.
            from resnoise.storage.store import Store
            from resnoise.trained.adopt import adopt

            adopt(unknown, Store(Path(CONFIG["store"])))
        records.mark_unrecorded(unknown)
    except ResnoiseError as error:
        # Results that can only be read can still be planned and looked at.
        logger.warning(f"records of how results were made are not up to date: {error}")
