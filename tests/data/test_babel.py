"""BABEL annotations and vocabularies, also hostile ones."""

import json

import pytest
import torch

from contrapposto.data.babel import Span, read_babel
from contrapposto.data.vocabulary import FOLDER, Vocabulary
from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.synthetic import ACTIONS


def label(start, end, *categories):
    return {"act_cat": list(categories), "start_t": start, "end_t": end}


def write(path, **entries):
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def test_frames_come_before_sequences_and_bad_labels_are_mended_and_counted(tmp_path):
    frames = [
        label(1, 2, "walk", "turn"),
        label(5, 3, "sit"),
        label(-2, 1, "run"),
        {"act_cat": None, "start_t": 0, "end_t": 1},
        label(2, 2, "jump"),
        {"act_cat": ["hop"], "start_t": "soon", "end_t": 3},
        label(1.5, 4, "wave"),
        "not a label",
    ]
    whole = {"labels": [{"act_cat": ["dance"]}]}
    path = write(
        tmp_path / "train.json",
        a={"feat_p": "CMU/CMU/01/01_01_poses.npz", "frame_ann": {"labels": frames}, "seq_ann": whole},
        b={"feat_p": "MPI_mosh/MPI_mosh/s/x y_poses.npz", "frame_ann": None, "seq_ann": whole},
        c={"feat_p": "KIT/KIT/3/z_poses.npz", "frame_ann": None, "seq_ann": None},
        d={"frame_ann": None},
    )
    actual = read_babel(path)
    assert actual.of("CMU/01/01_01_stageii.npz") == [
        Span(("walk", "turn"), 1, 2),
        Span(("sit",), 3, 5),
        Span(("run",), 0, 1),
        Span(("wave",), 1.5, 4),
    ]
    assert actual.of("MoSh/s/x_y_stageii.npz") == [Span(("dance",))]
    assert actual.of("KIT/3/z_poses.npz") == actual.of("nowhere/1.npz") == []
    assert actual.problems == {
        "labels with swapped times": 1,
        "labels with negative times": 1,
        "labels without categories": 2,
        "labels of no length": 1,
        "labels without times": 1,
        "clips without labels": 1,
        "entries without a clip": 1,
    }


@pytest.mark.parametrize("text", ["", "[]", "[1, 2]", '{"a": 3}', "{", "[" * 100_000, '"x"'])
def test_files_of_another_kind_are_refused(tmp_path, text):
    path = tmp_path / "val.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="not a BABEL file"):
        read_babel(path)
    with pytest.raises(MissingError):
        read_babel(tmp_path / "none.json")


def test_texts_are_found_as_people_type_them():
    babel = Vocabulary.load("babel")
    assert len(babel) == 150
    assert babel.index("interact with/use object") == 4
    assert babel.index(" T_Pose ") == 6
    assert babel.index("communicate (vocalise)") == 98
    assert babel.index("misc. abstract action") == 105
    assert len(babel.first(60)) == 60
    assert "balance" not in babel.first(60)
    with pytest.raises(ConfigError, match="walk"):
        babel.index("wlak")
    hot = babel.first(60).encode(["walk", "zombie", "Run"])
    assert hot.nonzero().flatten().tolist() == [0, 21]


def test_shipped_vocabularies_can_be_read():
    sizes = {path.stem: len(Vocabulary.load(path.stem)) for path in FOLDER.glob("*.txt")}
    assert sizes["demo"] == len(ACTIONS)
    assert sizes["humanact12"] == 12
    assert set(ACTIONS) == set(Vocabulary.load("demo").names)
    assert Vocabulary.load("cmu_mocap6").index("jumping jack") == 0


def test_vocabularies_can_be_edited_saved_and_made_from_labels(tmp_path):
    path = tmp_path / "own words.txt"
    path.write_text("# mine\nwalk\npick up: take something up, lift  # and so on\n\n", encoding="utf-8")
    own = Vocabulary.load(path)
    assert own.index("take something up") == own.index("pick-up") == 1
    own.save(tmp_path / "again.txt")
    again = Vocabulary.load(tmp_path / "again.txt")
    assert again.names == own.names
    assert again.index("Lift") == 1
    created = Vocabulary.of_texts(["run", "walk", "Walk", "walk ", "hop", "run", ""], at_least=2)
    assert created.names == ("walk", "run")
    assert torch.equal(created.encode([]), torch.zeros(2))


@pytest.mark.parametrize("text", ["", "# nothing\n", "walk\nWalk\n", "walk: run\nrun\n"])
def test_vocabularies_that_contradict_themselves_are_refused(tmp_path, text):
    path = tmp_path / "v.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError):
        Vocabulary.load(path)
    with pytest.raises(MissingError, match="babel"):
        Vocabulary.load("bable")
    path.write_bytes(b"\xff\xfe\x00walk")
    with pytest.raises(InputError):
        Vocabulary.load(path)
