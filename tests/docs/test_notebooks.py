"""The notebooks: stored without results, true to the suite, and running from the first cell to the last."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.known import known_names

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SYSTEMS = {"anerf", "npr", "posegpt", "sage", "scail_pose"}
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def test_every_system_has_one():
    assert {path.stem for path in NOTEBOOKS} == SYSTEMS
    page = (ROOT / "docs/notebooks.md").read_text()
    assert all(f"notebooks/{name}.ipynb" in page for name in SYSTEMS)


@each
def test_is_stored_without_results(path):
    book = read(path)
    nbformat.validate(book)
    assert set(book.metadata) <= {"kernelspec", "language_info"}
    assert set(book.metadata.language_info) == {"name"}  # no version of somebody's Python
    for cell in book.cells:
        assert not cell.metadata, cell.source
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None, cell.source


@each
def test_words_name_what_there_is(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for page in re.findall(r"`(docs/\w+\.md)`", text):
        assert (ROOT / page).is_file(), page
    known = known_names()
    for group, value in re.findall(r"\b(model|task|experiment|pipeline|data)=(\w+)", text):
        assert value in known[group], f"{group}={value}"


@each
@pytest.mark.slow
def test_runs_without_a_warning_and_shows_pictures(path, tmp_path, monkeypatch):
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # Where transformers is installed, torchmetrics imports it, and tqdm asks for ipywidgets.
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:IProgress not found")
    book = read(path)
    NotebookClient(book, timeout=300, resources={"metadata": {"path": path.parent}}).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(images) >= 3
