"""predict.py task=scail_pose: the whole way on a real video, folders as the original has them, and what goes wrong."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrapposto.errors import ConfigError, InputError
from contrapposto.render import VideoWriter
from contrapposto.systems.scail_pose.interchange import read_people
from contrapposto.tasks.predict import compose, predict
from contrapposto.video_file import VideoFile
from datamodules.scail_pose.videos import VideoDataModule

ROOT = Path(__file__).parents[2]


def run(*options):
    predict(compose(["task=scail_pose", *options]))


def black(path, frames=4, size=(64, 48)):
    with VideoWriter(path, 16, size) as writer:
        for _ in range(frames):
            writer.write(np.zeros((size[1], size[0], 3), np.uint8))
    return path


@pytest.mark.slow
def test_two_people(shared_data, tmp_path, capsys):
    """Beside each other, one of them mirrored: two ids from beginning to end, both drawn over themselves."""
    video = shared_data / "video" / "composite" / "two_person_side_by_side.mp4"
    reference = shared_data / "images" / "two_person_side_by_side.jpg"
    run(
        f"video='{video}'",
        f"reference='{reference}'",
        f"output='{tmp_path}'",
        "task.data.seconds=1",
        "task.data.resolution=[256,448]",
        "task.module.outputs=[video,people,mask,id,depth,rgba,scail2,nlfpred,openpose]",
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["size"] == [256, 448] and report["fps"] == 16 and report["frames_with_nobody"] == 0
    assert set(report["alignments"]) == {"0", "1"}
    assert all(fit["pixels_after"] < fit["pixels_before"] + 1e-6 for fit in report["alignments"].values())
    assert all((tmp_path / name).exists() for name in report["files"])
    clip = read_people(tmp_path / "motion.npz")
    assert len(clip.frames) == report["frames"] and clip.ids == [0, 1]
    places = np.array([[person.box[[0, 2]].mean() for person in frame] for frame in clip.frames])
    assert np.ptp(places, axis=0).max() < 40 < np.abs(np.diff(places, axis=1)).min()  # nobody changes sides
    picture = list(VideoFile.open(tmp_path / "rendered_aligned.mp4").frames())
    assert len(picture) == report["frames"] and picture[0][1].shape == (256, 448, 3)
    ids = [image for _, image in VideoFile.open(tmp_path / "rendered_aligned_id.mp4").frames()][-1]
    halves = ids[:, :224].reshape(-1, 3).max(0), ids[:, 224:].reshape(-1, 3).max(0)
    assert np.abs(halves[0].astype(int) - halves[1]).max() > 60
    mask = np.asarray(Image.open(tmp_path / "ref_mask.jpg"))
    sides = mask[:, :224].reshape(-1, 3).max(0), mask[:, 224:].reshape(-1, 3).max(0)
    assert mask.shape == (256, 448, 3) and np.abs(np.array(sides) - np.array(halves, int)).max() < 60
    assert "2 people" in capsys.readouterr().out
    assert not any("another one" in words for words in report["warnings"])


@pytest.mark.slow
def test_a_reference_in_another_pose_is_told(shared_data, tmp_path, capsys):
    video = shared_data / "video" / "composite" / "two_person_side_by_side.mp4"
    lunge = shared_data / "images" / "tfjs_pose" / "pose.jpg"
    options = ("task.data.seconds=0.3", "task.data.resolution=[256,448]")
    run(f"video='{video}'", f"reference='{lunge}'", f"output='{tmp_path}'", *options)
    report = json.loads((tmp_path / "report.json").read_text())
    assert any("whose pose is another one" in words for words in report["warnings"])
    assert "whose pose is another one" in capsys.readouterr().out


def test_nobody_in_the_clip(tmp_path):
    with pytest.raises(InputError, match="nobody"):
        run(f"video={black(tmp_path / 'black.mp4')}", f"output={tmp_path / 'out'}")
    assert not list(tmp_path.glob("out/*.mp4"))


def test_a_bad_one_among_several_is_told_and_all_bad_end(tmp_path, capsys):
    folder = tmp_path / "clips"
    folder.mkdir()
    black(folder / "black.mp4")
    (folder / "text.mp4").write_text("no video")
    with pytest.raises(InputError, match="2 of 2"):
        run(f"video={folder}", f"output={tmp_path / 'out'}")
    metadata = capsys.readouterr().out
    assert "black: FAILED" in metadata and "text: FAILED" in metadata


def test_jobs(tmp_path):
    """The original's folders, one or many; a reference of each, or one for all."""
    for name, image in (("a", "ref_image.png"), ("b", "ref.jpg"), ("c", None)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "driving.mp4").touch()
        if image:
            (tmp_path / name / image).touch()
    one = VideoDataModule(tmp_path / "a").jobs
    assert [(job.name, inside) for job, inside in one] == [("a", "")]
    assert one[0][0].reference == tmp_path / "a" / "ref_image.png"
    many = VideoDataModule(tmp_path, fps=None).jobs
    assert [inside for _, inside in many] == ["a", "b", "c"] and many[2][0].reference is None
    assert many[0][0].out_fps == 16
    shared = VideoDataModule([tmp_path / "a", tmp_path / "a"], reference=tmp_path / "b" / "ref.jpg").jobs
    assert [inside for _, inside in shared] == ["a_0", "a_1"]
    assert all(job.reference == tmp_path / "b" / "ref.jpg" for job, _ in shared)
    (tmp_path / "empty").mkdir()
    for wrong in ({"video": tmp_path / "none"}, {"video": tmp_path / "empty"}):
        with pytest.raises(InputError):
            VideoDataModule(**wrong)
    for options in (
        {"resolution": [511, 896]},
        {"resolution": [0, 2]},
        {"fps": 0},
    ):
        with pytest.raises(ConfigError):
            VideoDataModule(tmp_path / "a", **options)
    with pytest.raises(InputError):
        VideoDataModule(tmp_path / "a", reference="none.png")


def test_no_video_given():
    result = subprocess.run(
        [sys.executable, "predict.py", "task=scail_pose"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "No video given" in result.stderr and "Traceback" not in result.stderr
