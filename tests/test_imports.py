"""What importing nijigan loads: each check runs in a fresh interpreter."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LOADED = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
MODULES = "import json, sys; print(json.dumps(sorted(sys.modules)))"
ALL_MODULES = """
import pkgutil, socket, sys

def refuse(*_args, **_options):
    raise AssertionError("an import uses the network")

socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = socket.getaddrinfo = refuse

import nijigan
names = [module.name for module in pkgutil.walk_packages(nijigan.__path__, "nijigan.")]
names.remove("nijigan.__main__")  # it runs the command line
for name in names:
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == "nijigan"]:
        del sys.modules[loaded]  # each module is the first one imported, so that no order of imports is relied on
    __import__(name)
print(len(names))
"""


def run(program: str) -> str:
    """The last line a program prints in an interpreter of its own."""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1]


def loaded_after(program: str) -> set[str]:
    """The top-level packages and modules that a program has loaded when it ends."""
    return set(json.loads(run(f"{program}\n{LOADED}")))


def test_importing_training_loads_no_library_that_only_some_trainings_use() -> None:
    loaded = loaded_after("import nijigan.training")
    assert "torch" in loaded
    assert loaded & {"animeface", "matplotlib", "tensorboard", "daft"} == set()


def test_importing_nijigan_loads_no_library() -> None:
    loaded = loaded_after("import nijigan")
    libraries = {"torch", "numpy", "scipy", "pyarrow", "daft", "PIL", "matplotlib", "pydantic", "lightning_fabric"}
    assert "nijigan" in loaded
    assert loaded & libraries == set()


@pytest.mark.parametrize("command", [[], ["import"], ["train"], ["generate"], ["evaluate"]])
def test_help_loads_no_torch(command: list[str]) -> None:
    loaded = loaded_after(
        "from contextlib import suppress\n"
        "from nijigan.cli import main\n"
        "with suppress(SystemExit):\n"
        f"    main({[*command, '--help']!r})"
    )
    assert "tyro" in loaded
    assert loaded & {"torch", "numpy", "pyarrow", "daft", "matplotlib", "lightning_fabric"} == set()


@pytest.mark.parametrize(
    "program",
    [
        "import nijigan; nijigan.load().sample(1)",
        "from nijigan.cli import main; assert main(['generate', '--n', '1', '--out', sys.argv[1]]) == 0",
    ],
    ids=["sample", "generate"],
)
@pytest.mark.parametrize("with_onnx", [False, True], ids=["torch", "onnxruntime"])
def test_drawing_a_face_loads_little_more_than_its_library(program: str, with_onnx: bool, tmp_path: Path) -> None:
    unused = {"daft", "pyarrow", "tensorboard", "matplotlib", "torchmetrics", "lightning_fabric", "scipy", "sympy"}
    unused |= {"animeface", "jinja2", "pandas", "networkx", "onnx", "torch" if with_onnx else "onnxruntime"}
    hide = "" if with_onnx else "sys.modules['onnxruntime'] = None"
    told = run(f"import sys; sys.argv[1:] = [{str(tmp_path / 'face.png')!r}]\n{hide}\n{program}\n{MODULES}")
    loaded = set(json.loads(told))
    assert ("onnxruntime" if with_onnx else "torch") in loaded
    found = {name for name in loaded if name.partition(".")[0] in unused} - {"onnxruntime"}
    assert found == set()
    assert {"torch._dynamo", "torch._inductor"} & loaded == set()  # torch's compiler: a second


def test_every_module_imports_first_and_without_network() -> None:
    assert int(run(ALL_MODULES)) > 100
