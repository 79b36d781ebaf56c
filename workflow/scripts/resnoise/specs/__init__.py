"""What determines each result, as immutable specifications that rules pass to scripts."""
