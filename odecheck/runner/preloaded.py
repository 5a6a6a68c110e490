"""What a forkserver imports before it makes workers: all that units of work need, and what torch imports at first use.

A worker that imports what changes warnings in its first job would end with it, and with all that it remembers.
"""

from importlib import import_module

from odecheck.compat import OF_FORWARD_MODE

from . import units

__all__ = ["units"]

import_module(OF_FORWARD_MODE)
