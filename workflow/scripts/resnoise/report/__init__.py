"""One page with everything: claims, tables, figures, and where they come from."""
