"""Two results folders side by side: a baseline and a variant in which something was changed."""
