"""The recipe `free`: a folder of clips beside the demo corpus."""

from dataclasses import replace

import pytest

from contrapposto.data.recipes import get_recipe
from contrapposto.errors import ContrappostoError
from contrapposto.io.amass import write_amass
from contrapposto.synthetic import generate


def test_clips_of_the_folder_and_of_the_demo_corpus(tmp_path):
    clip = generate("walk", seconds=1.0, seed=0)
    for name in ("01_01_poses.npz", "other_poses.npz"):
        write_amass(tmp_path / name, replace(clip, labels=()))
    (tmp_path / "index.csv").write_text("file,label\nother_poses.npz,salsa dance\n")
    recipe = get_recipe("free", minutes=0.5)
    sources = recipe.discover(recipe.obtain(tmp_path, tmp_path, None)).sources
    names = [source.name for source in sources]
    assert "cmu/01_01" not in names and "cmu/01_03" in names, (
        "the folder's clip takes the place of the shipped one"
    )
    assert sum(name.startswith("made/") for name in names) > 2
    other = next(source for source in sources if "other" in source.name)
    assert recipe.read(other).labels[0].text == "salsa dance"
    created = next(source for source in sources if source.name.startswith("made/"))
    assert recipe.read(created).num_frames == recipe.frames(created)
    with pytest.raises(ContrappostoError, match="raw"):
        recipe.obtain(None, tmp_path, None)
