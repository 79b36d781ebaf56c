"""Native CPU code for the simplified networks: build.py compiles conv.c, network.py calls it."""
