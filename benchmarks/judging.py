"""What it costs to judge a generator: seconds, CPU seconds and peak memory of `nijigan evaluate`.

    python benchmarks/judging.py --data faces [--n 5000] [--threads 2] [--cold]

Judges the packaged generator in a process of its own, once with the instructions of this machine and once with AVX2
only, as most laptops have. The cache of the real faces must be filled, as by one `nijigan evaluate` before; with
`--cold` it is empty at first, and a second run follows. Nothing else should be running.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
PROBE = """
import resource, sys
from nijigan.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def judge(data: Path, n: int, environment: dict[str, str]) -> tuple[float, float, float]:
    """Evaluate once: seconds, CPU seconds, peak memory in MB."""
    with tempfile.TemporaryDirectory() as out:
        command = ["evaluate", "--data", str(data), "--n", str(n), "--device", "cpu", "--out", out]
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", PROBE, *command], env=os.environ | environment, capture_output=True, text=True,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu, int(done.stderr.split()[-1]) / 1024


def main() -> None:
    """Time, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cold", action="store_true")
    options = parser.parse_args()
    print(f"{options.n:,} faces, {options.threads} threads.\n\n| instructions | cache | s | CPU s | peak MB |")
    print("|---|---|---|---|---|")
    for name, instructions in (("all of this machine", {}), ("AVX2 only", AVX2)):
        with tempfile.TemporaryDirectory() as cache:
            threads = {"OMP_NUM_THREADS": str(options.threads), "OMP_WAIT_POLICY": "passive"}
            environment = instructions | threads | ({"NIJIGAN_CACHE": cache} if options.cold else {})
            for state in ("empty", "filled") if options.cold else ("filled",):
                found = judge(options.data, options.n, environment)
                print(f"| {name} | {state} | " + " | ".join(f"{value:.0f}" for value in found) + " |", flush=True)


if __name__ == "__main__":
    main()
