"""Save faces that a running `nijigan studio` draws; needs Python alone.

python examples/client.py --hair blue --n 4 --out blue
"""

import argparse
import base64
import json
import os
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen


def main() -> None:
    """Ask for faces, and save each as a PNG that records how to draw it again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="http://127.0.0.1:7860/", help="the address that nijigan studio printed")
    parser.add_argument("--n", type=int, default=4, help="number of faces")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first face")
    parser.add_argument("--hair", help="a colour of hair, if the model knows colours")
    parser.add_argument("--out", type=Path, default=Path("drawn"), help="the folder for the PNGs")
    asked = parser.parse_args()

    order = {"n": asked.n, "seed": asked.seed, "scale": 4, "format": "json"}
    if asked.hair:
        order["attributes"] = {"hair": asked.hair}
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("NIJIGAN_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    request = Request(asked.server.rstrip("/") + "/v1/faces", json.dumps(order).encode(), headers)
    try:
        with urlopen(request, timeout=60) as answer:
            faces = json.load(answer)["faces"]
    except HTTPError as error:  # a sentence says what is wrong
        raise SystemExit(json.load(error)["detail"]) from error
    except URLError as error:
        raise SystemExit(f"{asked.server} does not answer ({error.reason}); start nijigan studio first.") from error

    asked.out.mkdir(parents=True, exist_ok=True)
    for one in faces:
        path = asked.out / f"seed-{one['face']['seed']:06d}.png"
        try:
            with path.open("xb") as file:  # replaces nothing
                file.write(base64.b64decode(one["png"]))
        except FileExistsError as error:
            raise SystemExit(f"{path} exists; name another folder with --out.") from error
        print(path, one["face"]["attributes"])


if __name__ == "__main__":
    main()
