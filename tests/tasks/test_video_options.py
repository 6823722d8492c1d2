"""Options of task=scail_pose that cannot be used are refused before the work; files of keypoints as others write them."""

import json

import numpy as np
import pytest

from contrapposto.errors import ConfigError, ContrappostoError, InputError
from contrapposto.render import VideoWriter
from contrapposto.systems.scail_pose.interchange import read_clip_people
from contrapposto.systems.scail_pose.jobs import VideoJob, find_jobs
from contrapposto.systems.scail_pose.settings import Settings
from contrapposto.tasks.predict import compose, predict
from contrapposto.tasks.scail_pose import _reading
from contrapposto.video_file import VideoFile


def run(*options):
    predict(compose(["task=scail_pose", *options]))


@pytest.fixture(scope="module")
def black(tmp_path_factory):
    path = tmp_path_factory.mktemp("black") / "black.mp4"
    with VideoWriter(path, 16, (64, 48)) as writer:
        for _ in range(8):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    return path


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("data.resolution=512", "resolution"),
        ("data.resolution=[512]", "resolution"),
        ("data.resolution=[512,abc]", "resolution"),
        ("data.resolution=wide", "resolution"),
        ("data.fps=abc", "fps"),
        ("data.fps=0", "fps"),
        ("data.fit=stretch", "fit"),
        ("data.upright=yes", "upright"),
        ("data.start=-1", "start"),
        ("data.start=abc", "start"),
        ("data.start=7", "start=7"),
        ("data.seconds=0", "seconds"),
        ("data.seconds=-2", "seconds"),
        ("module.people=tallest", "people"),
        ("module.people=[]", "people"),
        ("module.people=[-1]", "people"),
        ("module.outputs=films", "outputs"),
        ("module.outputs=[video,films]", "outputs"),
        ("module.outputs=[]", "outputs"),
        ("module.retarget=2", "retarget"),
        ("module.retarget=[1,2,3]", "retarget"),
        ("module.retarget=[2,3]", "retarget"),
        ("module.align.scale_bounds=2", "scale_bounds"),
        ("module.align.scale_bounds=[0,1]", "scale_bounds"),
        ("module.align.mode=hands", "align.mode"),
        ("module.align=7", "align"),
        ("module.clean.window=abc", "clean.window"),
        ("module.clean.gap=-1", "clean.gap"),
        ("module.look.samples=0", "look.samples"),
        ("module.look.face=maybe", "look.face"),
        ("module.estimator.hands=perhaps", "estimator.hands"),
        ("module.original=perhaps", "original"),
        ("processes=0", "processes"),
    ],
)
def test_refused_with_the_name_of_the_option(black, tmp_path, option, named):
    with pytest.raises(ConfigError) as error:
        run(f"video={black}", f"output={tmp_path / 'out'}", f"task.{option}")
    assert named in str(error.value) and error.value.expected
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("option", ["up=y", "joint_map=map.json", "fps=0", "fps=abc"])
def test_options_of_motion_files_are_not_ignored(black, tmp_path, option):
    with pytest.raises(ConfigError, match=option.split("=")[0]):
        run(f"video={black}", f"output={tmp_path / 'out'}", option)
    people = tmp_path / "people.json"
    people.write_text("[]")
    with pytest.raises(ConfigError, match=option.split("=")[0]):
        run(f"video={people}", f"output={tmp_path / 'out'}", option)


def test_fps_is_the_pose_videos(black, tmp_path):
    with pytest.raises(ConfigError, match="start=7"):  # the first thing that is checked of the video
        run(f"video={black}", f"output={tmp_path / 'out'}", "fps=12", "task.data.start=7")
    assert _reading(compose(["task=scail_pose", "fps=12"])) == {"fps": 12}
    assert _reading(compose(["task=scail_pose"])) == {}


def test_switches_and_single_words():
    on = Settings.from_options(retarget=True, align=True, clean=True, outputs="video")
    assert (
        on.retarget == (0.5, 2.0)
        and on.align is not None
        and on.clean is not None
        and on.outputs == ("video",)
    )
    off = Settings.from_options(retarget=False, align=False, clean=False, people=0)
    assert off.retarget is off.align is off.clean is None and off.people == 0
    assert Settings.from_options(align={"scale_bounds": [0.2, 5]}).align.scale_bounds == (0.2, 5)
    original = Settings.from_options(original=True, clean=True)
    assert (
        original.clean is None
        and original.people == "first"
        and original.align.original
        and not original.sides
    )
    with pytest.raises(ConfigError, match="outputz"):
        Settings.from_options(outputz=["video"])


@pytest.mark.parametrize("name", ["ref_image.jpg", "ref.png", "ref_image.webp"])
def test_a_reference_in_the_folder_is_used(tmp_path, name):
    (tmp_path / "driving.mp4").touch()
    (tmp_path / name).touch()
    assert find_jobs(tmp_path)[0][0].reference == tmp_path / name


def keypoints(frames=4):
    """OpenPose's 18 points of somebody who stands and waves, for a whole clip."""
    places = [(160, 40), (160, 70), (130, 72), (120, 110), (118, 150), (190, 72), (200, 110), (202, 150)]
    places += [(142, 160), (140, 215), (140, 270), (178, 160), (180, 215), (180, 270)]
    places += [(154, 34), (166, 34), (146, 38), (174, 38)]
    content = []
    for frame in range(frames):
        moved = [(x + (5 * frame if slot == 7 else 0), y) for slot, (x, y) in enumerate(places)]
        flat = [value for x, y in moved for value in (x, y, 0.9)]
        person = {"person_id": [-1], "pose_keypoints_2d": flat}
        content.append({"people": [person], "canvas_width": 320, "canvas_height": 288})
    return content


def test_keypoints_without_depth_are_drawn_as_limbs(tmp_path, capsys):
    source = tmp_path / "poses.json"
    source.write_text(json.dumps(keypoints()))
    run(f"video={source}", f"output={tmp_path / 'out'}")
    shown = np.stack([image for _, image in VideoFile.open(tmp_path / "out" / "rendered.mp4").frames()])
    assert len(shown) == 4
    for x, y in ((160, 110), (120, 100), (140, 200), (180, 240)):  # trunk, arm, thigh, shin
        assert shown[0, y - 12 : y + 12, x - 12 : x + 12].max() > 90, (x, y)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert any("flat" in words for words in report["warnings"]) and "flat" in capsys.readouterr().out


def nested(levels, frames=5):
    joints = np.random.default_rng(0).normal([0, 0, 3000], 300, (frames, 1, 24, 3)).round(2)
    content = {3: joints[:, 0], 4: joints, 5: joints[None]}[levels].tolist()
    return joints, {"joints3d_nonparam": content, "height": 96, "width": 160}


@pytest.mark.parametrize("levels", [3, 4, 5])
@pytest.mark.parametrize("suffix", ["json", "npz"])
def test_joints_nested_as_others_write_them(tmp_path, levels, suffix):
    """ComfyUI has one more level, a batch; a single person may have one less."""
    joints, content = nested(levels)
    path = tmp_path / f"nlf.{suffix}"
    if suffix == "json":
        path.write_text(json.dumps(content))
    else:
        np.savez(path, **{name: np.array(value) for name, value in content.items()})
    clip = read_clip_people(path)
    assert [len(frame) for frame in clip.frames] == [1] * 5
    np.testing.assert_allclose([frame[0].joints for frame in clip.frames], joints[:, 0], atol=0.01)


@pytest.mark.parametrize("levels", [1, 6])
def test_joints_nested_in_no_known_way(tmp_path, levels):
    _, content = nested(5)
    content["joints3d_nonparam"] = [content["joints3d_nonparam"]] if levels == 6 else [1.0, 2.0]
    (tmp_path / "nlf.json").write_text(json.dumps(content))
    with pytest.raises(InputError):
        read_clip_people(tmp_path / "nlf.json")


def test_several_videos_of_which_one_fails(black, tmp_path, capsys):
    """The others are done, and the end says so: no exit status 0."""
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(black.read_bytes())
    (folder / "b.mp4").write_text("no video")
    with pytest.raises(ContrappostoError, match="2 of 2 videos failed"):
        run(f"video={folder}", f"output={tmp_path / 'out'}")
    assert capsys.readouterr().out.count("FAILED") == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"people": "tallest"}, "all, first, largest, central, or ids of report.json, as [0,2]"),
        ({"align": {"scale_bounds": 2}}, "a list of 2: a number each"),
        ({"align": {"mode": "hands"}}, "auto, feet, body, both"),
        ({"outputs": "masks"}, "mask"),
    ],
)
def test_the_message_names_what_can_be_typed(options, expected):
    with pytest.raises(ConfigError) as error:
        Settings.from_options(**options)
    assert error.value.expected == expected


def test_a_job_takes_paths_as_text(black):
    job = VideoJob("black", str(black), reference=str(black))
    assert job.video == black and job.reference == black
