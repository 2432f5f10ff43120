"""A sandbox for Python programs that a model wrote, in layers; `slm eval` runs coding tasks in it, if allowed.

Each program runs in a fresh Python (`-I -S`: no site-packages) with an empty environment, no inherited descriptors and
an empty folder in memory; `layers()` says which of `LAYERS` this machine can put around it.

What it does not protect against: a hole in the kernel (it shares yours: a container does no more, a virtual machine
does); what processors leak to whoever shares them; load (a program may use its processor time, a gibibyte for each of
its processes, and the folder's memory); reading the system's own folders (/usr, /lib). Nor does it keep a program from
*cheating*: tests run in the process of what they test, so a program that looks for our mark among Python's frames, or
whose results are equal to everything, passes. A program that exits early or prints what it likes does not.
"""

from slm_atlas.evals.sandbox.layers import ESSENTIAL, LAYERS, MEND, Layers
from slm_atlas.evals.sandbox.parent import layers, run
from slm_atlas.evals.sandbox.verdict import Limits, Outcome, Verdict

__all__ = ["ESSENTIAL", "LAYERS", "MEND", "Layers", "Limits", "Outcome", "Verdict", "layers", "run"]
