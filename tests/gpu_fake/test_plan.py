"""What is carried to a GPU."""

import tarfile

from benchmarks.gpu.plan import Plan


def test_stores_that_travel_as_one_file_are_unpacked_once(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "manifest.json").write_text("{}")
    with tarfile.open(tmp_path / "gpu.tar.xz", "w:xz") as file:
        file.add(tmp_path / "demo", "demo")
    plan = Plan(tmp_path / "out", tmp_path / "gpu.tar.xz", "cpu", False, 1.0)
    folder = plan.store_folder()
    assert (folder / "demo" / "manifest.json").read_text() == "{}"
    assert plan.store_folder() == folder == tmp_path / "out" / "stores"
