"""An avatar of a person in a video, and what it can do, in one command."""

import json

import numpy as np
import pytest
from PIL import Image

from contrapposto.io import write_motion
from contrapposto.synthetic import generate
from contrapposto.systems.anerf.avatar import Avatar
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.tasks.chains import run_chain
from contrapposto.tasks.predict import compose, predict
from contrapposto.video_file import VideoFile
from tests.systems.anerf.data.test_anerf_video import SIDE, take  # noqa: F401

SMALL = ("steps=60", "+chain.avatar.options.task.gaussians=400", "+chain.avatar.options.task.preview=30")


def test_a_video_becomes_an_avatar_that_turns_and_walks(take, tmp_path):  # noqa: F811
    file = tmp_path / "a walk.npz"
    write_motion(file, generate("walk", seconds=0.5, seed=1))
    inputs = (f"video={take / 'video.mp4'}", f"poses={take / 'poses.npz'}", f"masks={take / 'masks'}")
    more = (
        f"motion={file}",
        "chain.turntable.options.task.options.count=3",
        "+chain.turntable.options.task.height=48",
    )
    arguments = ["pipeline=avatar_from_video", f"output={tmp_path / 'me'}", *inputs, *SMALL, *more]
    run_chain(compose([*arguments, "+chain.dance.options.task.height=48"]))
    me = tmp_path / "me" / "video"
    avatar = Avatar.from_pretrained(me / "01_avatar" / "model")
    assert len(avatar.network) == 400 and avatar.poses is not None and len(avatar.poses) == 6
    height, width = AvatarScene.open(me / "01_avatar" / "scene").hw
    assert height < SIDE  # cut to the figure
    assert Image.open(me / "01_avatar" / "preview.png").size == (4 * width, 2 * height)
    assert len(list(VideoFile.open(me / "02_turntable" / "bullet.mp4").frames())) == 3
    assert len(list(VideoFile.open(me / "03_dance" / "a walk.mp4").frames())) in (10, 11)
    assert (me / "04_mesh" / "a walk.glb").stat().st_size > 100_000
    assert (me / "04_mesh" / "splats.ply").read_bytes().startswith(b"ply")
    result = json.loads((me / "01_avatar" / "model" / "result.json").read_text())
    assert result["data"]["licence"] == "unknown: the user's own" and result["score"] > 10


def test_a_folder_of_frames_becomes_an_avatar(take, tmp_path):  # noqa: F811
    (tmp_path / "me").mkdir()
    for number, (_, image) in enumerate(VideoFile.open(take / "video.mp4").frames()):
        Image.fromarray(image).save(tmp_path / "me" / f"{number:03d}.png")
    inputs = (f"video={tmp_path / 'me'}", f"poses={take / 'poses.npz'}", f"masks={take / 'masks'}")
    small = ("task.steps=2", "task.gaussians=200")
    predict(compose(["task=anerf_fit", f"output={tmp_path / 'out'}", *inputs, *small]))
    assert (tmp_path / "out" / "model" / "result.json").is_file()


def test_a_video_is_needed(tmp_path):
    with pytest.raises(Exception, match="No video given"):
        predict(compose(["task=anerf_fit", f"output={tmp_path}"]))
    with pytest.raises(Exception, match="gaussians of 100 or more"):
        predict(compose(["task=anerf_fit", f"output={tmp_path}", "task.gaussians=3", "video=x.mp4"]))


def test_a_page_for_the_browser_is_written(tmp_path):
    predict(compose(["task=anerf_render", "ckpt=anerf_splat", "task.formats=[html]", f"output={tmp_path}"]))
    text = (tmp_path / "bullet.html").read_text()
    assert "@DATA@" not in text and len(text) < 4_000_000
    assert np.isfinite(json.loads(text.split('id="data">')[1].split("</script>")[0])["centre"]).all()
