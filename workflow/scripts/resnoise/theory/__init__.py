"""What the paper derives: formulas and simulations without networks. None imports torch."""
