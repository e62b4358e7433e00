"""Train the network that enlarges generated faces, and compare it with Lanczos: how `assets/upscaler.*` came to be.

    nijigan import konachan-96-tagged.zip --out konachan
    OMP_NUM_THREADS=1 python benchmarks/train_upscaler.py --data konachan --minutes 20 --weights DIR --out FILE.json

It learns from the training split: faces of 96 px, halved to 48 by one of three filters, and the faces themselves as the
aim. Colours, mirroring and quarter turns vary. The loss is the mean absolute error of the pixels. The comparison is on
the test split, of which nothing was learnt: the peak signal-to-noise ratio over all pixels and channels of a face, in
decibels, averaged over faces.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.pictures import enlarge
from nijigan.vision.upscaler import Upscaler
from scale import machine

SIZE, BATCH, PEAK = 96, 16, 2e-3
FILTERS = {
    "box": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}  # fmt: skip


def halved(faces: Images, name: str) -> Images:
    """N×2H×2W×3 → N×H×W×3, uint8, with one of Pillow's filters."""
    side = faces.shape[1] // 2
    return np.stack([np.asarray(Image.fromarray(face).resize((side, side), FILTERS[name])) for face in faces])


def tensor(faces: Images) -> Tensor:
    """Uint8 N×H×W×3 → float N×3×H×W in [0, 1], channels last."""
    return torch.from_numpy(np.ascontiguousarray(faces)).permute(0, 3, 1, 2).float() / 255


def batches(faces: Images, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A random batch: small faces and the same at full size."""
    chosen = faces[np.sort(random.choice(len(faces), BATCH, replace=False))]
    chosen = np.rot90(chosen, random.integers(4), (1, 2))[:, :, :: random.choice((-1, 1))]
    chosen = chosen[..., random.permutation(3)]
    return tensor(halved(chosen, random.choice(list(FILTERS)))), tensor(chosen)


def train(faces: Images, minutes: float, seed: int) -> Upscaler:
    """Train for so many minutes; the rate falls to 0 along a cosine."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    net = Upscaler().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    adam = torch.optim.Adam(net.parameters(), betas=(0.9, 0.99))
    start, step, total = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - start) / (60 * minutes)) < 1:
        for group in adam.param_groups:
            group["lr"] = PEAK * min(1, step / 200) * 0.5 * (1 + np.cos(np.pi * done))
        small, large = batches(faces, random)
        with torch.autocast("cpu", torch.bfloat16):
            corrected = net(small)
        loss = (corrected.float() - large).abs().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        step, total = step + 1, total + loss.item()
        if step % 500 == 0:
            print(f"{done:6.1%}  {step} steps  error {255 * total / 500:.3f} grey levels", flush=True)
            total = 0.0
    return net


def decibels(found: Images, wanted: Images) -> float:
    """Mean over faces of the peak signal-to-noise ratio."""
    errors = ((found.astype(np.float64) - wanted) ** 2).mean((1, 2, 3))
    return float(np.mean(10 * np.log10(255**2 / np.maximum(errors, 1e-3))))


@torch.inference_mode()
def enlarged(net: Upscaler, faces: Images) -> Images:
    """N×H×W×3 → N×2H×2W×3, uint8."""
    parts = [net(tensor(faces[start : start + BATCH])) for start in range(0, len(faces), BATCH)]
    found: Images = (torch.cat(parts) * 255).round().clip(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return found


def compare(net: Upscaler, faces: Images) -> dict[str, dict[str, float]]:
    """Decibels of the network and of three fixed filters, for each way of halving."""
    scores = {}
    for name in FILTERS:
        small = halved(faces, name)
        fixed = interpolate(tensor(small), scale_factor=2, mode="bilinear")
        bilinear: Images = (fixed * 255).round().byte().permute(0, 2, 3, 1).numpy()
        scores[name] = {
            "network": decibels(enlarged(net, small), faces),
            "lanczos": decibels(enlarge(small, 2), faces),
            "bilinear": decibels(bilinear, faces),
        }
    return scores


def speed(net: Upscaler, seconds: float = 5.0) -> float:
    """Faces of 64 px per second, doubled."""
    faces = torch.rand(8, 3, 64, 64).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        net(faces)
        start, done = time.process_time(), 0
        while time.process_time() - start < seconds:
            net(faces)
            done += len(faces)
        return done / (time.process_time() - start)


def write_onnx(net: Upscaler, path: Path) -> None:
    """Write the network for onnxruntime: `faces` of any number and size → `larger`."""
    free = {0: "n", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own age
        torch.onnx.export(
            net, (torch.zeros(2, 3, 64, 64),), str(path), dynamo=False, opset_version=18,
            input_names=["faces"], output_names=["larger"], dynamic_axes={"faces": free, "larger": free},
        )  # fmt: skip


def main() -> None:
    """Train, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="a dataset of faces of 96 px or more")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, required=True, help="where to write upscaler.safetensors and .onnx")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    options = parser.parse_args()

    torch.set_num_threads(1)
    dataset = FaceDataset(options.data)
    net = train(dataset.pixels("train", SIZE), options.minutes, options.seed)
    stored = {name: value.detach().half().contiguous() for name, value in net.state_dict().items()}
    (options.weights / "upscaler.safetensors").write_bytes(safetensors.torch.save(stored))
    net.load_state_dict({name: value.float() for name, value in stored.items()})
    write_onnx(net.eval(), options.weights / "upscaler.onnx")
    faces = np.asarray(dataset.pixels("test", SIZE)[:1000])
    record = {
        "machine": machine(), "dataset": dataset.path.name, "minutes": options.minutes, "faces": len(faces),
        "psnr": compare(net.eval(), faces), "faces_per_second": speed(net),
    }  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
