"""Values of the configuration that claims refer to as ``{setting: NAME}``.

Standard library only, because the rules import it too.
"""

from collections.abc import Mapping
from typing import Any

from resnoise.specs.flow import PLACES, last_shallow

READING = "flow_reading"


def claim_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return name -> value of all settings under a loaded configuration.

    All are about Figure 12: how its flow is read, the places of the layers that count, the last
    layer that is shallow and the first one that is deep.
    """
    section = config["gradient_flow"]
    last = last_shallow(section["depth"], section["shallow_share"])
    return {
        READING: section["reading"],
        "flow_places": list(PLACES[section["layers"]]),
        "last_shallow_layer": last,
        "first_deep_layer": last + 1,
    }
