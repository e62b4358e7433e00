"""The examples run as they are written: the notebook, the client, and the page with its front."""

import io
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from browsing import chromium, needs_chromium
from nijigan.generator.records import read_face
from nijigan.studio.studio import Studio
from small import ATTRIBUTES, small_generator
from studio_server import serving, small_models

EXAMPLES = Path(__file__).parents[1] / "examples"
SHORT = {"FACES": 160, "KIMG": 0.1, "JUDGED": 100}
"""What the test changes in the first cell of the notebook."""
MODELS, _ = small_models()


@pytest.fixture(scope="module")
def client():
    with serving(Studio(MODELS)) as found:
        yield found


def script(name: str, *words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *words]
    return subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_notebook_runs_and_is_stored_without_outputs(tmp_path):
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    for name in SHORT:
        assert f"\n{name} = " in f"\n{cells[0].source}"
    cells[0].source = "\n".join(f"{name} = {value}" for name, value in SHORT.items())
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    made = tmp_path / "quickstart"
    assert (made / "shared.safetensors").exists()
    assert len(list((made / "saved").glob("*.png"))) == 4
    shown = [cell for cell in cells if any("image/png" in one.get("data", {}) for one in cell.outputs)]
    assert len(shown) == 5


def test_the_client_saves_faces_and_tells_what_is_wrong(client, tmp_path):
    address = f"http://127.0.0.1:{client.port}"
    done = script("client.py", "--server", address, "--hair", "blue", "--seed", "7", "--n", "2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    face = read_face(tmp_path / "drawn" / "seed-000007.png")
    assert (face.seed, face.attributes["hair"]) == (7, "blue")
    with Image.open(tmp_path / "drawn" / "seed-000008.png") as image:
        assert image.size == (128, 128)
    done = script("client.py", "--server", f"{address}/", "--hair", "plaid", folder=tmp_path)
    assert done.returncode == 1
    assert "plaid" in done.stderr
    assert done.stderr.endswith(".\n")
    done = script("client.py", "--server", address, "--seed", "8", "--n", "1", folder=tmp_path)
    assert "exists; name another folder with --out." in done.stderr
    done = script("client.py", "--server", "http://127.0.0.1:1/", folder=tmp_path)
    assert "start nijigan studio first." in done.stderr
    assert "Traceback" not in done.stderr


def test_the_client_sends_a_token(tmp_path):
    token = "x" * 20
    with serving(Studio(MODELS), token=token) as client:
        address = f"http://127.0.0.1:{client.port}"
        assert "needs its token" in script("client.py", "--server", address, folder=tmp_path).stderr
        assert script("client.py", "--server", address, folder=tmp_path, NIJIGAN_TOKEN=token).returncode == 0


@needs_chromium
def test_the_page_shows_faces_through_its_front(client, tmp_path):
    command = [sys.executable, str(EXAMPLES / "front.py"), "--port", "0", "--studio", f"http://127.0.0.1:{client.port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as front, chromium() as browser:
        try:
            page = browser.new_page()
            page.goto(front.stdout.readline().strip())
            natural = "document.getElementById('face').naturalWidth"
            page.wait_for_function(f"{natural} === 128")
            for button, part in (("next", "/v1/faces/1.png?"), ("blue", "hair=blue")):
                with page.expect_response(lambda answer, part=part: part in answer.url) as answered:
                    page.locator(f"#{button}").click()
                assert answered.value.status == 200
            assert read_face(io.BytesIO(answered.value.body())).attributes["hair"] == "blue"
        finally:
            front.terminate()


def test_onnxruntime_alone_draws(tmp_path):
    from nijigan.export.onnx import write_onnx

    write_onnx(small_generator(**ATTRIBUTES), tmp_path / "generator.onnx")
    assert script("onnx_alone.py", folder=tmp_path).returncode == 0
    with Image.open(tmp_path / "four.png") as image:
        assert image.size == (128, 32)
        assert np.asarray(image).std() > 5
