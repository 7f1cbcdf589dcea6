"""From labelled images to a registered model."""

import os

_SPINS = "10000"
"""How often a thread of OpenMP looks for work before it sleeps, about 0.1 ms. See tests/benchmarks/sharing.py.

Its own default, 300,000, makes a training several times slower beside another program: one thread waits awake, on the
processor that the other one needs. To sleep at once makes it twice as slow when it is alone.
"""

# libgomp reads it when PyTorch is loaded, so it is said before anything here can import PyTorch.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
