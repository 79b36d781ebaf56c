"""How the flow of Figure 12 is read, which layers count and which are shallow.

Standard library only, because the rules and the claims import it too.
"""

# Keys ``reading`` of ``gradient_flow``; ``resnoise.metrics.flow_readings`` explains them.
READINGS = ("set", "single", "carriers")

# Where the activation of a layer is. The first convolution counts as a block's output, because
# identity connections start there too.
BLOCK_OUTPUT, INSIDE = "block output", "inside block"

# Layers that count (config key ``layers`` of ``gradient_flow``) -> places of these layers.
PLACES = {"all": (BLOCK_OUTPUT, INSIDE), "block-outputs": (BLOCK_OUTPUT,)}


def last_shallow(depth: int, shallow_share: float) -> int:
    """Return the number of the last layer that is called shallow (config key ``shallow_share``)."""
    # Rounded first, because the product of a share such as 0.29 may be just below a whole number.
    return int(round(depth * shallow_share, 9))
