"""The GPU suite in under eight minutes, with a report: python asv_bench/gpu.py [reports] [--quick]

The same as `odecheck bench --gpu DIR`, for machines where the package is only on PYTHONPATH. Without a GPU it says so
and ends with status 2.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from odecheck.commands.bench import gpu_suite
from odecheck.errors import BadInput

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("reports"))
    parser.add_argument("--quick", action="store_true", help="the small size only")
    how = parser.parse_args()
    try:
        gpu_suite(how.folder, how.quick)
    except BadInput as refused:
        print(refused, file=sys.stderr)
        sys.exit(2)
