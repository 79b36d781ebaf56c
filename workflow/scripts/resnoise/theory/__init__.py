"""The paper's derivations: formulas and simulations without networks. No module imports torch."""
