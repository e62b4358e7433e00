"""How fast the page of an exported site draws: the packaged generator in headless Chromium, one thread, on loopback.

    python benchmarks/page.py

Writes results/page.json. Beside the page's faces per second stand those of onnxruntime in Python, with one thread and
one face at a time, measured in the same run, in turns.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

TURNS = 9
FACES = 60
OUT = ROOT / "results" / "page.json"

IN_PAGE = """async (count) => {
  const { Painter } = await import(new URL("js/painter.js", document.baseURI));
  const { makeFace } = await import(new URL("js/face.js", document.baseURI));
  const { models, upscaler } = await (await fetch("models.json")).json();
  const painter = window.painter ??= new Painter();
  if (!painter.model) await painter.use(models[0], upscaler);
  const first = Math.floor(Math.random() * 1e9);
  await painter.draw(makeFace(models[0], first));
  const start = performance.now();
  await Promise.all([...Array(count).keys()].map((index) => painter.draw(makeFace(models[0], first + 1 + index))));
  return count / ((performance.now() - start) / 1000);
}"""


def main() -> None:
    """Measure in turns, print and store."""
    from browsing import Visit, chromium, serve_folder  # of the tests; it and onnxruntime read what is set above
    from nijigan.export.site import write_site
    from nijigan.generator.generator import Generator

    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        site = Path(folder) / "site"
        model = write_site(Generator.load(), site, "packaged")
        size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
        generator = Generator.load(site / model["file"])
        page, python, first = [], [], []
        with serve_folder(site) as url:
            for turn in range(TURNS):
                context = browser.new_context()
                start = time.perf_counter()
                visit = Visit(context, url)
                visit.page.locator("#gallery .face:not(.waiting)").first.wait_for(timeout=60_000)
                first.append(time.perf_counter() - start)
                visit.settle("#gallery")
                page.append(visit.page.evaluate(IN_PAGE, FACES))
                context.close()
                start = time.perf_counter()
                for seed in range(FACES):
                    generator.sample(1, seed=1000 * turn + seed)
                python.append(FACES / (time.perf_counter() - start))
    found = {
        "processor": _processor(),
        "operations": model["operations"],
        "model_bytes": model["bytes"],
        "site_bytes": size,
        "first_face_seconds": round(statistics.median(first), 2),
        "page_faces_per_second": round(statistics.median(page), 1),
        "python_faces_per_second": round(statistics.median(python), 1),
        "page_turns": [round(value, 1) for value in page],
        "python_turns": [round(value, 1) for value in python],
    }
    OUT.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


def _processor() -> str:
    with Path("/proc/cpuinfo").open() as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
