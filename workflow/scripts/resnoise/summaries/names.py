"""What people read for the names in results; standard library only, for the Snakefile, too."""

# As the paper writes them.
_INITIALISATIONS = {"kwi": "KWI", "hmwi": "HMWI", "t-hmwi": "T(HMWI)"}


def initialisation_name(name: object) -> str:
    """Return an initialisation as the paper writes it, and others as the configuration does."""
    return _INITIALISATIONS.get(str(name), str(name))
