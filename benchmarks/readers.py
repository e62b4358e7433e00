"""How often the colour reader, the human-tag reader and human tags agree on held-out faces, as JSON.

    nijigan import konachan-96-tagged.zip --out faces/konachan
    python benchmarks/readers.py --data faces/konachan > results/readers/agreement.json

The faces are those of the validation and the test split that have both tags. A face that the colour reader leaves
unread counts as wrong. Balanced accuracy of the human-tag reader is measured on the test split.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from nijigan.dataset.faces import FaceDataset
from nijigan.judges.anime import RESOLUTION
from nijigan.judges.readers import people, split_accuracy
from nijigan.vision.anatomy import SIDE
from nijigan.vision.colour_names import VALUES
from nijigan.vision.colours import read_colours

SURE = 0.9


def measure(dataset: FaceDataset) -> dict[str, Any]:
    """Read every tagged face of the validation and the test split with both readers, and compare.

    Returns:
        The number of `faces`, faces `per_second` of CPU time of the colour reader, the share of faces that it finds no
        face in (`not_found`), and for each attribute shares of faces.
    """
    judge = people()
    tags: dict[str, list[str]] = {name: [] for name in VALUES}
    judged: dict[str, list[str]] = {name: [] for name in VALUES}
    readings, seconds = [], 0.0
    for split in ("val", "test"):
        labels = dataset.labels(split)
        rows = np.flatnonzero(np.all([labels[name] >= 0 for name in VALUES], 0))
        codes = judge.read(dataset.pixels(split, RESOLUTION)[rows])
        for name in VALUES:
            tags[name] += [dataset.attributes[name][code] for code in labels[name][rows]]
            judged[name] += [judge.header.attributes[name][code] for code in codes[name]]
        pixels = np.asarray(dataset.pixels(split, SIDE)[rows])
        start = time.process_time()
        readings += [read_colours(face) for face in pixels]
        seconds += time.process_time() - start
    result: dict[str, Any] = {"faces": len(readings), "per_second": len(readings) / seconds, "sure": SURE}
    result["not_found"] = float(np.mean([all(one.confidence == 0 for one in face.values()) for face in readings]))
    confidences, rights = [], []
    for name, values in VALUES.items():
        read = np.array([face[name].value or "" for face in readings])
        tag, judge_says = np.array(tags[name]), np.array(judged[name])
        right, judge_right = read == tag, judge_says == tag
        neither = ~right & ~judge_right
        confidences.append([face[name].confidence for face in readings])
        rights.append(right)
        result[name] = {
            "values": len(values),
            "agreement": float(right.mean()),
            "judge_agreement": float(judge_right.mean()),
            "judge_balanced": split_accuracy(judge, dataset, "test")[name],
            "readers_agree": float(np.mean(read == judge_says)),
            "right_where_judge_is_wrong": float(right[~judge_right].mean()),
            "same_where_both_are_wrong": float(np.mean((read == judge_says)[neither])),
        }
    sure = np.array(confidences) >= SURE
    return result | {"right_where_sure": float(np.array(rights)[sure].mean())}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a dataset with tags for hair and eyes")
    print(json.dumps(measure(FaceDataset(parser.parse_args().data)), indent=2))


if __name__ == "__main__":
    main()
