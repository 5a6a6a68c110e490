"""The GPU suite in under eight minutes, with a report: python asv_bench/gpu.py [reports] [--quick]

    python asv_bench/gpu.py reports --page --against gpu-v0.1.0.parquet     measures nothing: the page anew

The same as `odecheck bench --gpu DIR`, for machines where the package is only on PYTHONPATH. Without a GPU it says so
and ends with status 2.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from odecheck.bench.gpu_report import page_again
from odecheck.commands.bench import gpu_suite
from odecheck.errors import BadInput

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("reports"))
    parser.add_argument("--quick", action="store_true", help="the small size only")
    parser.add_argument("--page", action="store_true", help="measure nothing: gpu.md of the folder's rows anew")
    parser.add_argument("--against", type=Path, metavar="FILE", help="with --page: a gpu.parquet of another commit")
    how = parser.parse_args()
    try:
        if how.page:
            print(page_again(how.folder, how.against))
        else:
            gpu_suite(how.folder, how.quick)
    except BadInput as refused:
        print(refused, file=sys.stderr)
        sys.exit(2)
