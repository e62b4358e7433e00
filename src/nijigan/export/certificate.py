"""Faces in an exported file, as torch drew them: whoever draws them again can check that another engine agrees.

The certificate is JSON in the file's metadata: records of faces with their pictures. The faces cover the values of the
attributes, truncation where the generator allows it, and one latent that no seed gives.
"""

import base64
import binascii
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from nijigan.aliases import Images
from nijigan.errors import UserError, check
from nijigan.generator.attributes import has_unlabelled
from nijigan.generator.face import Face, encode_latent
from nijigan.generator.generator import Generator
from nijigan.generator.latents import interpolate, latents
from nijigan.generator.onnx_network import CERTIFICATE, OnnxNetwork
from nijigan.generator.records import face_png
from nijigan.jsonio import parse_json
from nijigan.safe_text import ANY, UNKNOWN

FACES = 16
TOLERANCE = 1
"""The difference of a pixel, in 1/255, that rounding explains."""

_PSI = 0.7
_TRUNCATED = 4  # every so many faces


@dataclass(frozen=True)
class CertifiedFace:
    """A face and its picture."""

    face: Face
    png: bytes
    """The picture with its record, as `generate` writes it."""

    def picture(self) -> Images:
        """The picture, uint8, H×W×3.

        Raises:
            UserError: it is no PNG.
        """
        try:
            with Image.open(io.BytesIO(self.png), formats=["PNG"]) as image:
                return np.asarray(image.convert("RGB"))
        except Exception as error:  # Pillow raises errors of many kinds for damaged pictures
            raise UserError(f"A picture of the certificate is damaged: {error}. Export the generator again.") from error


@dataclass(frozen=True)
class _Entry:
    """A certified face in JSON, its picture in base64."""

    face: Face
    png: str


@dataclass(frozen=True)
class _Certificate:
    faces: tuple[_Entry, ...]


def certify(generator: Generator) -> list[CertifiedFace]:
    """Draw the faces of a generator's certificate; `generator` has the weights as the exported file will have them."""
    return [CertifiedFace(face, face_png(face, generator.draw(face))) for face in certificate_faces(generator)]


def certificate_faces(generator: Generator) -> list[Face]:
    """The faces of a certificate.

    Every attribute runs through its values, `unknown` if it occurs in training, and no request. Every fourth face is
    truncated if the prior allows it. The last face has the latent between those of the first two seeds.
    """
    header = generator.header
    faces = []
    for seed in range(FACES):
        requested = {}
        for column, (name, values) in enumerate(header.attributes.items()):
            cycle = (*values, UNKNOWN, ANY) if has_unlabelled(header.priors, column) else (*values, ANY)
            requested[name] = cycle[seed % len(cycle)]
        psi = _PSI if header.truncatable and seed % _TRUNCATED == 2 else 1.0
        faces.append(generator.face(seed, psi, **requested))
    first, second = latents([0, 1], header.latent.size, header.latent.prior)
    middle = encode_latent(interpolate(first, second, 0.5, header.latent.prior))
    return [*faces[:-1], replace(faces[-1], latent=middle)]


def certificate_json(faces: list[CertifiedFace]) -> str:
    """The certificate as the metadata of a file holds it."""
    entries = [
        {"face": json.loads(one.face.to_json()), "png": base64.b64encode(one.png).decode("ascii")} for one in faces
    ]
    return json.dumps({"faces": entries})


def read_certificate(network: OnnxNetwork) -> list[CertifiedFace]:
    """Read the certificate of an exported file; empty if the file has none.

    Raises:
        UserError: it is damaged, or is that of other weights.
    """
    text = network.metadata(CERTIFICATE)
    if not text:
        return []
    faces = []
    for entry in parse_json(_Certificate, text, f"The certificate of {network.path}").faces:
        if entry.face.weights != network.weights_hash:
            raise UserError(f"The certificate of {network.path} is that of other weights; export the generator again.")
        try:
            faces.append(CertifiedFace(entry.face, base64.b64decode(entry.png, validate=True)))
        except (binascii.Error, ValueError) as error:
            raise UserError(f"The certificate of {network.path} is damaged; export the generator again.") from error
    return faces


def check_certificate(path: Path) -> int:
    """Draw the faces of an exported file again with onnxruntime and compare them with its certificate.

    Returns:
        The greatest difference of a pixel, in 1/255: at most `TOLERANCE`.

    Raises:
        UserError: the file has no certificate, or its faces differ by more.
    """
    check(path.suffix.lower() == ".onnx", f"{path} has no certificate; name an .onnx file or the folder of a site.")
    generator = Generator.load(path)
    network = generator.exported
    faces = read_certificate(network) if network else []
    check(bool(faces), f"{path} has no certificate; export the generator again with this version of nijigan.")
    greatest = 0
    for one in faces:
        expected, found = one.picture(), generator.draw(one.face)
        check(expected.shape == found.shape, f"The certificate of {path} has pictures of another size; export again.")
        apart = int(np.abs(expected.astype(np.int16) - found).max())
        greatest = max(greatest, apart)
        if apart > TOLERANCE:
            raise UserError(
                f"{path} does not draw the faces of its certificate: that of seed {one.face.seed} differs by "
                f"{apart}/255. Export the generator again."
            )
    return greatest
