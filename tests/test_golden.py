"""What an import leaves, to the bit: identities, splits, pixels and labels of 200 procedural faces."""

import json
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_an_import_leaves_what_it_always_left(tmp_path: Path) -> None:
    golden = runpy.run_path(str(ROOT / "benchmarks" / "golden.py"))
    golden["draw_pictures"](tmp_path / "pictures")
    assert golden["import_hashes"](ROOT, tmp_path, tmp_path / "pictures") == json.loads(
        (ROOT / "tests" / "golden.json").read_text()
    )
