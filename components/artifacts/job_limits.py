"""Default time limits of Beam's jobs, in a module that settings can import without Beam."""

from __future__ import annotations

# A cluster may have to start machines and to fetch an image of 3 GB.
START_MINUTES = 20.0

# A worker in good health is silent for at most the two minutes that the decoding of a recording may
# take, or until it gives up a store that does not respond. Then another one may have to start.
STALL_MINUTES = 10.0
