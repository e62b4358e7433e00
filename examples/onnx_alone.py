"""Draw faces from generator.onnx (nijigan export) with onnxruntime, numpy and Pillow alone."""

import json

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("generator.onnx", providers=["CPUExecutionProvider"])
header = json.loads(session.get_modelmeta().custom_metadata_map["nijigan"])
latents = np.random.default_rng(7).standard_normal((4, header["latent"]["size"]), dtype=np.float32)
inputs = {"latents": latents}
if header["attributes"]:  # blue hair, eyes unknown
    inputs["codes"] = np.full((4, len(header["attributes"])), -1)
    inputs["codes"][:, list(header["attributes"]).index("hair")] = header["attributes"]["hair"].index("blue")
(images,) = session.run(["images"], inputs)  # 4×3×64×64 in [-1, 1]
pixels = ((images.transpose(0, 2, 3, 1) + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
Image.fromarray(np.hstack(list(pixels))).save("four.png")
