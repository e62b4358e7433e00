"""The folder of an exported site, as a static server delivers it."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import onnx
import pytest

import nijigan
from nijigan.assets import ASSETS
from nijigan.cli import main
from nijigan.errors import UserError
from nijigan.export import site
from nijigan.export.certificate import read_certificate
from nijigan.export.description import describe_model, name_of, slowness
from nijigan.export.onnx import count_operations, write_onnx
from nijigan.generator.generator import Generator
from nijigan.generator.records import read_face
from nijigan.recipe.parts import GeneratorConfig, LatentConfig
from small import ATTRIBUTES, small_generator

VENDORED = site.PAGE / "vendor" / "ort"
METRICS = {"hair=blue/people/test": 0.75, "hair/people/test": 0.5, "eyes=red/people/val": 0.25}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def generator() -> Generator:
    return small_generator(**ATTRIBUTES, metrics=METRICS)


@pytest.fixture(scope="module")
def exported(generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site below a folder that is served."""
    folder = tmp_path_factory.mktemp("served")
    generator.save(folder / "small.safetensors")
    assert main(["export", str(folder / "small.safetensors"), "--to", "site", "--out", str(folder / "a" / "site")]) == 0
    return folder / "a" / "site"


@pytest.fixture(scope="module")
def described(exported: Path) -> dict:
    models = json.loads((exported / "models.json").read_text())
    assert models["version"] == nijigan.__version__
    (model,) = models["models"]
    return model | {"upscaler": models["upscaler"]}


@pytest.fixture(scope="module")
def address(exported: Path) -> Iterator[str]:
    """The site's address below a path of a plain static server."""
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"], cwd=exported.parents[1],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        found = re.search(r"port (\d+)", server.stdout.readline())
        assert found
        yield f"http://127.0.0.1:{found[1]}/a/site/"
    finally:
        server.terminate()
        server.wait(20)
        server.stdout.close()


def fetched(url: str) -> bytes:
    with urlopen(url, timeout=20) as answer:
        data: bytes = answer.read()
        return data


def test_every_file_is_served_below_a_path(exported: Path, described: dict, address: str) -> None:
    urls = [described["file"], described["upscaler"], *(one["png"] for one in described["certificate"])]
    assert len(urls) == 18
    for url in urls:
        assert not urlsplit(url).scheme
        assert not url.startswith("/")
        assert fetched(address + url) == (exported / url).read_bytes()
    model = fetched(address + described["file"])
    assert (len(model), hashlib.sha256(model).hexdigest()) == (described["bytes"], described["sha256"])
    assert fetched(address + "upscaler.onnx") == (ASSETS / "upscaler.onnx").read_bytes()
    for name, digest in json.loads(fetched(address + "vendor/ort/SOURCE.json"))["sha256"].items():
        assert hashlib.sha256(fetched(f"{address}vendor/ort/{name}")).hexdigest() == digest


def test_it_holds_the_page_and_nothing_unlisted(exported: Path, described: dict) -> None:
    listed = {described["file"], "models.json", "upscaler.onnx", *(one["png"] for one in described["certificate"])}
    page = {str(path.relative_to(site.PAGE)) for path in site.PAGE.rglob("*") if path.is_file()}
    assert set(files_of(exported)) == listed | page


def test_pages_name_no_other_place() -> None:
    """Sources of scripts, styles and pictures are relative, so that a site works below any path."""
    for path in [path for path in site.PAGE.rglob("*") if path.suffix in (".html", ".css")]:
        for url in re.findall(r"""(?:src|href)=["']([^"']+)|url\(["']?([^"')]+)""", path.read_text(encoding="utf-8")):
            target = "".join(url)
            assert not target.startswith("/"), path


def test_the_description_is_that_of_the_file(exported: Path, described: dict, generator: Generator) -> None:
    model = nijigan.load(exported / described["file"])
    assert described["name"] == "small"
    assert described["weights"] == model.weights_hash
    assert described["latent"] == {"size": 10, "prior": "normal"}
    assert (described["styled"], described["truncatable"], described["output"]) == (False, True, "tanh")
    assert described["attributes"] == [
        {"name": "hair", "values": ["black", "blue", "red"], "accuracy": [None, 0.75, None], "unknown": False},
        {"name": "eyes", "values": ["green", "red"], "accuracy": [None, None], "unknown": False},
    ]
    assert described["priors"] == [[1, 0, 50], [0, 1, 30], [1, 1, 20]]
    assert (described["kimg"], described["licence"]) == (1.5, "MIT")
    assert described["description"] == "Ünïcode 二次元"
    assert described["operations"] == count_operations(generator)
    assert described["directions"]
    for one in described["certificate"]:
        face = read_face(exported / one["png"])
        assert json.loads(face.to_json()) == one["face"]
    kernels = [tensor for tensor in onnx.load(exported / described["file"]).graph.initializer if len(tensor.dims) > 1]
    assert {tensor.data_type for tensor in kernels} == {onnx.TensorProto.FLOAT16}


def test_any_generator_can_be_described(generator: Generator, tmp_path: Path) -> None:
    found = describe_model(generator, "x")
    assert [found[key] for key in ("file", "bytes", "sha256", "certificate")] == [None, None, None, []]
    assert found["operations"] == count_operations(generator) > 0
    write_onnx(generator, tmp_path / "a.onnx")
    without = describe_model(nijigan.load(tmp_path / "a.onnx"), "x", url="models/a.onnx", directions=[])
    same = found.keys() - {"file", "bytes", "sha256", "certificate", "directions"}
    assert {key: without[key] for key in same} == {key: found[key] for key in same}
    assert (without["file"], without["directions"], len(without["certificate"])) == ("models/a.onnx", [], 16)
    json.dumps([found, without], allow_nan=False)


def test_operations_are_those_of_the_layers() -> None:
    """A DCGAN of 32 px and width 4 has kernels of 4×4: the first meets one place, the others each place they read."""
    channels = (16, 8, 4, 3)
    expected = 10 * 16 * 4 * 4
    for place, (inner, outer) in enumerate(pairwise(channels)):
        expected += inner * outer * 4 * 4 * (4 * 2**place) ** 2
    config = GeneratorConfig(width=4)
    assert count_operations(small_generator(generator=config, latent=LatentConfig(size=10))) == expected


def test_the_package_is_described_without_torch() -> None:
    program = (
        "import json, sys, nijigan\n"
        "from nijigan.export.description import describe_model\n"
        "found = describe_model(nijigan.load(), 'x')\n"
        "print(json.dumps([found['operations'], len(found['directions']), found['attributes'][0]['accuracy'],\n"
        "                  len(found['certificate']), 'torch' in sys.modules]))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    operations, directions, accuracy, certificate, with_torch = json.loads(told.stdout)
    assert not with_torch
    assert 1e8 < operations < 0.3e9  # below what pages draw slowly
    assert (directions, certificate) == (8, 16)
    assert all(0 < value <= 1 for value in accuracy)


def test_an_exported_file_is_copied(exported: Path, described: dict, tmp_path: Path) -> None:
    file = exported / described["file"]
    copied = site.write_site(nijigan.load(file), tmp_path / "b", name_of(str(file)))
    assert copied["sha256"] == described["sha256"]
    with pytest.raises(UserError, match="omit --half"):
        site.write_site(nijigan.load(file), tmp_path / "c", "c", half=False)
    assert sorted(place.name for place in tmp_path.iterdir()) == ["b"]


def test_the_command_checks_a_site(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(exported), "--check"]) == 0
    assert "greatest difference is" in capsys.readouterr().out


@pytest.mark.parametrize(
    "fault",
    ["model", "missing", "picture", "outside", "text", "list", "empty", "address", "null", "long", "deep"],
)
def test_a_damaged_site_ends_in_one_sentence(
    fault: str, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "site"
    for name, data in files_of(exported).items():
        if not name.startswith("vendor"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    models = json.loads((folder / "models.json").read_text())
    file = folder / models["models"][0]["file"]
    if fault == "model":
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    elif fault == "missing":
        file.unlink()
    elif fault == "picture":
        (folder / "certificate" / "03.png").write_bytes(b"")
    else:
        changes = {
            "outside": {"file": "../x.onnx"}, "address": {"file": 3}, "list": {"certificate": 1},
            "null": {"file": "a\0b"}, "long": {"file": "a" * 5000},
        }  # fmt: skip
        models["models"][0] |= changes.get(fault, {})
        text = {"text": "{", "empty": '{"models": []}', "deep": "[" * 100_000}.get(fault, json.dumps(models))
        (folder / "models.json").write_text(text)
    assert main(["export", str(folder), "--check"]) == 2
    told = capsys.readouterr().err
    assert "damaged" in told
    assert "Traceback" not in told


def test_nothing_is_overwritten_silently(generator: Generator, tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    (out / "js").mkdir()
    (out / "js" / "mine.js").write_text("mine")
    (out / "models.json").write_text("older")
    before = files_of(out)
    with pytest.raises(UserError, match="not empty"):
        site.write_site(generator, out, "x")
    assert files_of(out) == before
    site.write_site(generator, out, "x", overwrite=True)
    assert site.check_site(out) <= 1
    site.write_site(small_generator(seed=1), out, "y", overwrite=True)
    assert site.check_site(out) <= 1
    assert (out / "mine.txt").read_text() == (out / "js" / "mine.js").read_text() == "mine"
    assert len(list(out.glob("generator-*.onnx"))) == 1
    assert [place.name for place in tmp_path.iterdir()] == ["site"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        site.write_site(generator, tmp_path / "file", "x", overwrite=True)


def test_a_failure_leaves_what_was_there(generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise UserError("No.")

    out = tmp_path / "site"
    out.mkdir()
    (out / "models.json").write_text("older")
    monkeypatch.setattr(site, "describe_model", fail)
    for overwrite in (True, False):
        with pytest.raises(UserError):
            site.write_site(generator, out, "x", overwrite=overwrite)
    assert files_of(tmp_path) == {"site/models.json": b"older"}


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (None, "packaged generator"), ("hf:user/model", "user/model"), ("runs/a", "a"),
        ("runs/a/best.safetensors", "a"), ("b.safetensors", "b"), ("c.onnx", "c"), ("x\x1b.onnx", "x<U+001B>"),
    ],
)  # fmt: skip
def test_a_model_has_the_name_that_its_user_knows(model: str | None, name: str) -> None:
    assert name_of(model) == name


def test_slow_generators_are_told(
    generator: Generator, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slowness({"bytes": 8_000_000, "operations": 300_000_000}) == ""
    assert slowness({"bytes": None, "operations": None}) == ""
    told = slowness({"bytes": 9_100_000, "operations": 410_000_000})
    assert "9.1 MB" in told
    assert "0.41 G multiply-adds" in told
    monkeypatch.setattr("nijigan.export.description._SLOW_BYTES", 10)
    generator.save(tmp_path / "a.safetensors")
    words = ["export", str(tmp_path / "a.safetensors"), "--to", "site", "--out", str(tmp_path / "site"), "--no-half"]
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'site'}\n"
    assert "slowly" in captured.err
    (file,) = (tmp_path / "site").glob("generator-*.onnx")
    kinds = {tensor.data_type for tensor in onnx.load(file).graph.initializer if len(tensor.dims) > 1}
    assert onnx.TensorProto.FLOAT16 not in kinds
    exported = nijigan.load(file)
    assert exported.weights_hash == generator.weights_hash
    assert exported.exported is not None
    first = read_certificate(exported.exported)[0]
    assert np.abs(exported.draw(first.face).astype(int) - first.picture()).max() <= 1


def test_vendored_files_are_those_that_were_published() -> None:
    source = json.loads((VENDORED / "SOURCE.json").read_text())
    assert source["package"] == "onnxruntime-web"
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDORED.iterdir()}
    del found["SOURCE.json"]
    assert found == source["sha256"]
    notice = (Path(__file__).parents[2] / "NOTICE.md").read_text()
    assert f"onnxruntime-web {source['version']}" in notice
    assert "Microsoft Corporation" in (VENDORED / "LICENSE").read_text()


def test_a_page_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UserError, match=r"index\.html belongs to another page"):
        site.write_site(small_generator(), tmp_path, "small", overwrite=True)
    assert files_of(tmp_path) == {"index.html": b"mine"}
    (tmp_path / "index.html").rename(tmp_path / "mine.html")
    site.write_site(small_generator(), tmp_path, "small", overwrite=True)
    assert (tmp_path / "mine.html").read_text() == "mine"
