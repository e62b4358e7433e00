"""From one core to a cluster: an import on Ray and a training in two processes give what one process gives.

Ray is the extra `cluster`, which `make test-all` installs.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pyarrow import parquet
from safetensors.torch import load_file

import shared_batch
from nijigan.importing.importer import import_faces
from nijigan.procedural.faces import write_faces
from nijigan.training import rounds

pytestmark = pytest.mark.slow

WORKERS = 2

ON_RAY = f"""
import os
import sys
import tempfile
from pathlib import Path

import ray
from daft import runners
from ray._private import services
from ray.cluster_utils import Cluster

from nijigan.importing.importer import import_faces

if __name__ == "__main__":
    services.get_node_ip_address = lambda address=None: "127.0.0.1"  # else the driver looks for it on the network
    pictures, out = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:  # not the user's own cluster
        os.environ["RAY_TMPDIR"] = folder  # where Ray writes the cluster's address; it does not make the folder
        Path(folder, "ray").mkdir()
        head = dict(num_cpus=0, include_dashboard=False, node_ip_address="127.0.0.1", temp_dir=folder)
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range({WORKERS}):
                cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
            ray.init(address=cluster.address, _node_ip_address="127.0.0.1", log_to_driver=False)
            import_faces([pictures], out)
            workers = [one for one in ray.nodes() if one["Resources"].get("CPU")]
            runner = runners.get_or_create_runner().name
            print(runner, len(workers), *{{one["NodeManagerAddress"] for one in workers}})
        finally:
            ray.shutdown()
            cluster.shutdown()  # ends the processes that it started, and no others
"""


def test_an_import_on_ray_is_the_native_one_row_for_row(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    write_faces(pictures, 2000, resolution=32)
    (pictures / "damaged.png").write_bytes(b"no picture")
    import_faces([pictures], tmp_path / "native")
    environment = os.environ | {"DAFT_RUNNER": "ray", "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-c", ON_RAY, str(pictures), str(tmp_path / "ray")]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["ray", str(WORKERS), "127.0.0.1"]
    native, ray = ([parquet.read_table(path) for path in sorted((tmp_path / name).glob("faces-*.parquet"))]
                   for name in ("native", "ray"))  # fmt: skip
    assert sum(map(len, native)) > 1500
    assert native == ray
    for name in ("dataset.json", "dropped.csv"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "native" / name).read_bytes()


@pytest.fixture(params=["r3gan", "dcgan"])
def shared(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple:
    """A recipe's name, what two processes computed with it, and what one process computes on the whole batch."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [*torchrun, shared_batch.__file__, request.param, str(tmp_path)]
    subprocess.run(command, env=environment, check=True, timeout=600)
    ranks = [
        [load_file(tmp_path / f"{kind}-{rank}.safetensors") for kind in ("gradients", "weights")] for rank in (0, 1)
    ]
    for name in ("random_latents", "augment"):
        monkeypatch.setattr(rounds, name, getattr(rounds, name))  # which `fix_inputs` replaces
    gradients, weights, _ = shared_batch.run(request.param, processes=1)
    return request.param, ranks, (gradients, weights)


def test_two_processes_average_to_the_gradients_of_the_whole_batch(shared: tuple) -> None:
    """Without batch norm. With it, each process normalises with its own half of the batch, and gradients differ."""
    name, ((first, first_weights), (second, second_weights)), (whole, whole_weights) = shared
    assert first.keys() == second.keys() == whole.keys()
    assert all(torch.equal(first[key], second[key]) for key in whole)
    buffers = {key for key in whole_weights if "running_" in key}
    assert bool(buffers) == (name == "dcgan")
    for key in whole_weights.keys() - buffers:
        assert first_weights[key].numpy().tobytes() == second_weights[key].numpy().tobytes(), key
    scale = max(float(gradient.abs().max()) for gradient in whole.values())
    error = max(float((first[key] - whole[key]).abs().max()) for key in whole)
    assert np.isfinite(scale)
    assert scale > 1e-3
    if name == "dcgan":
        assert error > 1e-3 * scale
        assert any(not torch.equal(first_weights[key], second_weights[key]) for key in buffers)
    else:
        assert error < 1e-5
        assert error < 1e-5 * scale
