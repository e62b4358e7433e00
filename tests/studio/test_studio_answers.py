"""What the studio answers: the generator's faces, with their records, in every format."""

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import nijigan
from nijigan.errors import UserError
from nijigan.generator.enlarging import PACKAGED, enlarge
from nijigan.generator.face import Face, encode_latent
from nijigan.generator.latents import latents
from nijigan.generator.records import read_face
from nijigan.rate.store import VoteStore
from nijigan.studio.models import open_models
from nijigan.studio.studio import Studio
from studio_server import Client, serving, small_models

MODELS, (HAIR, PLAIN) = small_models()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(MODELS, tmp_path_factory.mktemp("rated") / "ratings")


@pytest.fixture(scope="module")
def client(studio: Studio) -> Iterator[Client]:
    with serving(studio) as client:
        yield client


def opened(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def test_health_and_the_list_of_models(client: Client) -> None:
    assert client.get("/healthz").json == {"status": "ok", "models": 2}
    listing = client.get("/models.json").json
    assert client.get("/v1/models").json == listing
    assert (listing["version"], listing["server"]) == (nijigan.__version__, "v1")
    first, second = listing["models"]
    assert (first["name"], second["name"]) == ("with_hair", "plain")
    assert (first["weights"], second["weights"]) == (HAIR.weights_hash, PLAIN.weights_hash)
    assert [attribute["name"] for attribute in first["attributes"]] == ["hair", "eyes"]
    assert first["attributes"][0]["values"] == ["black", "blue", "red"]
    assert first["latent"] == {"size": 10, "prior": "normal"}
    assert (first["truncatable"], first["styled"], second["attributes"]) == (True, False, [])
    for described in (first, second):
        answer = client.get(f"/{described['file']}")
        assert answer.status == 200
        assert len(answer.content) == described["bytes"]
        assert hashlib.sha256(answer.content).hexdigest() == described["sha256"]
        again = client.get(f"/{described['file']}", If_None_Match=answer.headers["etag"])
        assert (again.status, again.content) == (304, b"")
    assert listing["upscaler"] == "upscaler.onnx"
    assert client.get("/upscaler.onnx").content == PACKAGED.read_bytes()
    assert client.get("/models/other.onnx").status == 404


def test_head_is_answered_as_get_without_the_body(client: Client) -> None:
    for path in ("/", "/healthz", "/models.json", "/v1/faces/3.png", "/models/plain.onnx", "/nowhere"):
        head, get = client.ask("HEAD", path), client.get(path)
        assert (head.status, head.content) == (get.status, b"")
        assert head.headers["content-length"] == get.headers["content-length"]


def test_an_exported_model_keeps_its_weights(tmp_path) -> None:
    assert [model.weights for model in MODELS] == [HAIR.weights_hash, PLAIN.weights_hash]
    for model in MODELS:
        (tmp_path / "model.onnx").write_bytes(model.file or b"")
        (again,) = open_models([str(tmp_path / "model.onnx")])
        assert (again.weights, again.file) == (model.weights, model.file)
    with pytest.raises(UserError, match="same weights"):
        open_models([str(tmp_path / "model.onnx")] * 2)


def test_a_face_is_that_of_the_generator_with_its_record(client: Client, tmp_path) -> None:
    answer = client.post("/v1/faces", {"seed": "7", "psi": 0.7, "attributes": {"hair": "blue"}})
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    (tmp_path / "face.png").write_bytes(answer.content)
    face = read_face(tmp_path / "face.png")
    assert face == HAIR.face(7, 0.7, hair="blue")
    assert np.abs(opened(answer.content) - HAIR.draw(face)).max() <= 1


def test_many_faces_are_a_grid_an_archive_or_json(client: Client) -> None:
    expected = HAIR.sample_seeds([3, 1, 2**62 + 1])
    order = {"seeds": [3, 1, str(2**62 + 1)], "columns": 3}
    grid = client.post("/v1/faces", order)
    assert opened(grid.content).shape == (32 + 4, 3 * 34 + 2, 3)
    assert np.abs(opened(grid.content)[2:34, 36:68] - expected[1]).max() <= 1
    webp = client.post("/v1/faces", order | {"format": "webp"})
    assert webp.headers["content-type"] == "image/webp"
    assert opened(webp.content).shape == opened(grid.content).shape
    del order["columns"]
    faces = client.post("/v1/faces", order | {"format": "json"}).json["faces"]
    assert [face["face"] for face in faces] == [json.loads(HAIR.face(s).to_json()) for s in (3, 1, 2**62 + 1)]
    for face, image in zip(faces, expected, strict=True):
        assert np.abs(opened(base64.b64decode(face["png"])) - image).max() <= 1
    archive = client.post("/v1/faces", order | {"format": "zip"})
    assert archive.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(archive.content)) as file:
        assert file.namelist() == ["seed-000003.png", "seed-000001.png", f"seed-{2**62 + 1}.png"]
        assert np.abs(opened(file.read("seed-000001.png")) - expected[1]).max() <= 1


def test_recorded_faces_of_different_truncation_and_attributes_are_drawn_in_their_order(client: Client) -> None:
    latent = encode_latent(latents([99], 10)[0])
    weights = HAIR.weights_hash
    faces = [
        Face(weights, 5, 0.5, {"hair": "red"}),
        Face(weights, 5, 1.0, {"hair": "red", "eyes": "green"}),
        Face(weights, 6, 0.5),
        Face(weights, 6, 1.0, {}, latent),
    ]
    records = [json.loads(face.to_json()) for face in faces]
    answer = client.post("/v1/faces", {"faces": records, "format": "json"}).json["faces"]
    assert [drawn["face"] for drawn in answer] == records
    for drawn, face in zip(answer, faces, strict=True):
        assert np.abs(opened(base64.b64decode(drawn["png"])) - HAIR.draw(face)).max() <= 1
    twice = client.post("/v1/faces", {"faces": [records[0]] * 2, "format": "zip"})
    with zipfile.ZipFile(io.BytesIO(twice.content)) as file:
        assert file.namelist() == ["000-seed-000005.png", "001-seed-000005.png"]


def test_a_model_is_found_by_its_name_or_its_weights(client: Client) -> None:
    expected = PLAIN.sample(1, seed=4)[0]
    for model in ("plain", PLAIN.weights_hash):
        assert np.abs(opened(client.post("/v1/faces", {"model": model, "seed": 4}).content) - expected).max() <= 1
    record = json.loads(PLAIN.face(4).to_json())
    assert np.abs(opened(client.post("/v1/faces", {"faces": [record]}).content) - expected).max() <= 1
    assert "made by another" in client.post("/v1/faces", {"faces": [record], "model": "with_hair"}).detail


@pytest.mark.parametrize("upscaler", ["learnt", "lanczos", "none"])
def test_faces_are_enlarged(client: Client, upscaler: str) -> None:
    answer = client.post("/v1/faces", {"model": "plain", "scale": 2, "upscaler": upscaler})
    expected = enlarge(PLAIN.sample(1), 2, upscaler)[0]
    assert np.abs(opened(answer.content) - expected).max() <= 2


def test_the_address_of_a_face_can_be_kept_by_browsers(client: Client) -> None:
    answer = client.get("/v1/faces/7.png?hair=blue&psi=0.7&scale=2&upscaler=none")
    expected = enlarge(HAIR.sample(1, seed=7, psi=0.7, hair="blue"), 2, "none")[0]
    assert np.abs(opened(answer.content) - expected).max() <= 1
    assert answer.headers["cache-control"] == "private, no-cache"
    tag = answer.headers["etag"]
    again = client.get("/v1/faces/7.png?hair=blue&psi=0.7&scale=2&upscaler=none", If_None_Match=tag)
    assert (again.status, again.content) == (304, b"")
    other = client.get("/v1/faces/7.png?hair=red&psi=0.7&scale=2&upscaler=none", If_None_Match=tag)
    assert other.status == 200
    named = client.get(f"/v1/faces/7.png?model={PLAIN.weights_hash}")
    assert "immutable" in named.headers["cache-control"]


def test_a_walk_passes_through_its_stops(client: Client) -> None:
    stops = PLAIN.sample_seeds([1, 2, 3])
    for kind in ("webp", "gif"):
        order = {"model": "plain", "seeds": [1, 2, 3], "frames_per_stop": 2, "format": kind, "fps": 10}
        answer = client.post("/v1/walks", order)
        assert answer.headers["content-type"] == f"image/{kind}"
        with Image.open(io.BytesIO(answer.content)) as film:
            assert film.n_frames == 6
            film.seek(2)
            frame = np.asarray(film.convert("RGB")).astype(int)
        first, second, third = (np.abs(frame - stop).mean() for stop in stops)
        assert second < 0.9 * min(first, third)  # lossy, and noise compresses badly
    records = [json.loads(HAIR.face(seed, 0.5, hair="red").to_json()) for seed in (1, 2)]
    answer = client.post("/v1/walks", {"faces": records, "frames_per_stop": 2, "format": "mp4"})
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.content[4:8] == b"ftyp"


def test_variations_are_as_far_as_requested_and_can_be_drawn(client: Client) -> None:
    face = json.loads(HAIR.face(7, 0.9, eyes="red").to_json())
    start = latents([7], 10)[0]
    for radius, cosine in ((0, 1.0), (0.2, None), (1, None)):
        answer = client.post("/v1/variations", {"face": face, "n": 5, "radius": radius}).json["faces"]
        near = np.concatenate([Face(**record).latents(10, "normal") for record in answer])
        assert np.linalg.norm(near, axis=1) == pytest.approx(np.linalg.norm(start), rel=1e-5)
        cosines = near @ start / np.linalg.norm(start) ** 2
        if cosine is not None:
            assert cosines == pytest.approx(cosine)
        elif radius == 0.2:  # arcs of a fifth of at most 180 degrees
            assert (cosines > np.cos(0.2 * np.pi) - 1e-6).all()
        for record in answer:
            assert record["attributes"] == face["attributes"]
            assert (record["seed"], record["psi"]) == (7, 0.9)
    assert len({record["latent"] for record in answer}) == 5
    assert client.post("/v1/faces", {"faces": answer, "format": "json"}).status == 200
    assert client.post("/v1/variations", {"face": face, "n": 5, "radius": 1}).json["faces"] == answer
    assert client.post("/v1/variations", {"face": face, "n": 5, "radius": 1, "seed": 1}).json["faces"] != answer


def test_ratings_are_those_of_nijigan_rate(client: Client, studio: Studio) -> None:
    assert client.get("/v1/ratings").json["rated"] == 0
    assert not studio.ratings.exists()
    face = HAIR.face(3, hair="red")
    record = json.loads(face.to_json())
    assert client.post("/v1/ratings", {"face": record, "good": True}).json["good"] == 1
    assert client.post("/v1/ratings", {"face": record, "good": False}).json["good"] == 0
    counts = client.post("/v1/ratings", {"face": record | {"seed": "4", "psi": 1}, "good": True}).json
    assert (counts["rated"], counts["good"]) == (2, 1)
    assert [(row["model"], row["rated"], row["good"]) for row in counts["models"]] == [
        ("with_hair", 2, 1),
        ("plain", 0, 0),
    ]
    store = VoteStore(studio.ratings)
    asked = [replace(face, seed=seed) for seed in (3, 4)]
    records = [replace(one, attributes=HAIR.attributes_of(one, hair="red")).to_json() for one in asked]
    assert store.votes() == {(records[0], False): False, (records[1], False): True}
    sampled = HAIR.values(HAIR.codes([5])[0])
    for same in ({}, {"hair": "any"}, sampled, dict(reversed(sampled.items()))):
        again = record | {"seed": 5, "attributes": same}
        assert client.post("/v1/ratings", {"face": again, "good": True}).json["rated"] == 3
    assert (HAIR.face(5).to_json(), False) in store.votes()
    store.cast(json.dumps({"sha256": "ab", "resolution": 32}), "real faces", True)
    assert client.get("/v1/ratings").json["rated"] == 4
    stranger = record | {"weights": "ab" * 32}
    assert "There is no model" in client.post("/v1/ratings", {"face": stranger, "good": True}).detail


def test_everything_is_counted(client: Client) -> None:
    client.post("/v1/faces", {"n": 3, "model": "plain"})
    client.get("/nowhere")
    text = client.get("/metrics").content.decode()
    assert 'nijigan_requests_total{route="/v1/faces",status="200"}' in text
    assert 'nijigan_requests_total{route="other",status="404"}' in text
    assert 'nijigan_faces_total{model="plain"}' in text
    assert "nijigan_queue_requests 0.0" in text
    assert 'nijigan_request_seconds_bucket{le="0.1",route="/v1/faces"}' in text


def test_clients_at_the_same_time_get_their_own_faces(client: Client) -> None:
    expected = HAIR.sample(32, seed=100, eyes="green")

    def ask(index: int) -> int:
        order = {"seed": 100 + index, "attributes": {"eyes": "green"}}
        return int(np.abs(opened(client.post("/v1/faces", order).content) - expected[index]).max())

    with ThreadPoolExecutor(16) as threads:
        assert max(threads.map(ask, range(32))) <= 1
