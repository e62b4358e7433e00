"""Runs nijigan commands in forked processes, each of which it may kill after some time. `test_chaos.py` starts it.

It has imported what commands need and has started no thread, so that a child is at work at once. It reads one JSON
object per line, {"arguments": [...], "seconds": 0.5 or null}, and answers {"code": ..., "seconds": ..., "output": ...}.
"""

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def run(arguments: list[str], seconds: float | None) -> dict[str, Any]:
    """Run one command. After `seconds`, kill it with everything that it has started."""
    with tempfile.TemporaryFile() as output:
        begun = time.monotonic()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(OSError):
                os.setpgid(0, 0)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            code = 70
            try:
                from nijigan.cli.entry import main

                code = main(arguments)
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                sys.stdout.flush()
                os._exit(code)
        with contextlib.suppress(OSError):
            os.setpgid(child, child)  # whichever of the two is first
        status = 0
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            if seconds is not None and time.monotonic() - begun > seconds:
                os.killpg(child, signal.SIGKILL)
                _, status = os.waitpid(child, 0)
                break
            time.sleep(0.002)
        output.seek(0)
        text = output.read().decode(errors="replace")
    return {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - begun, "output": text}


def main() -> None:
    """Serve until stdin ends."""
    import matplotlib.figure  # noqa: F401
    import torch.utils.tensorboard  # noqa: F401

    import nijigan.cli.entry
    import nijigan.importing.importer
    import nijigan.judges.evaluation
    import nijigan.sweep
    import nijigan.training.trainer  # noqa: F401

    for line in sys.stdin:
        order = json.loads(line)
        os.chdir(Path(order["folder"]))
        sys.stdout.write(json.dumps(run(order["arguments"], order["seconds"])) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
