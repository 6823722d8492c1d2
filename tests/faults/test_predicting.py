"""predict.py killed while it writes: what is there is whole, and the same command again gives all of it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.faults.whole import half_written
from contrapposto.io import write_motion
from contrapposto.synthetic import generate

ROOT = Path(__file__).parents[2]


def test_a_killed_prediction_leaves_whole_results_and_can_be_repeated(tmp_path):
    """The series of fifty is `python -m benchmarks.faults kill what=predict`."""
    output = tmp_path / "out"
    write_motion(tmp_path / "walk.npz", generate("walk", seconds=2.0))
    command = [sys.executable, ROOT / "predict.py", "task=convert", f"input={tmp_path / 'walk.npz'}"]
    command += [f"output={output}", "task.formats=[npz,bvh,glb]"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (output / "walk.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert half_written(output) == []
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    names = {path.name for path in output.iterdir() if not path.name.startswith(".")}
    assert names == {"walk.npz", "walk.bvh", "walk.glb", "provenance.json"} and half_written(output) == []
