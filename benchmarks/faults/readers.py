"""Every reader of a file that others may have made: a small valid input, and what the suite does with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults import seeds


@dataclass(frozen=True)
class Reader:
    """A reader under test.

    Args:
        make: writes a small valid input into an empty folder.
        read: reads that folder's content as a user's command would, to the last frame.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], object]


def _motion(folder: Path) -> None:
    from contrapposto.io import read_motion

    read_motion(_only(folder, but=(".asf",)))


def _devices(strict: bool) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        from contrapposto.io.devices import Repairs
        from contrapposto.io.tracks import stream_devices

        path = _only(folder)
        _exhaust(stream_devices(path, repairs=Repairs(path, strict)))

    return read


def _video(folder: Path) -> None:
    from contrapposto.video_file import VideoFile

    _exhaust(VideoFile.open(_only(folder)).frames())


def _mesh(folder: Path) -> None:
    from contrapposto.mesh.files import read_mesh

    others = (".mtl", ".png", ".bin")
    mesh = next((file for file in sorted(folder.iterdir()) if file.suffix not in others), None)
    read_mesh(mesh or folder / "mesh.obj")  # a case may lack the mesh itself


def _poses(folder: Path) -> None:
    from contrapposto.mesh.poses import read_poses

    read_poses(_only(folder))


def _clip_people(folder: Path) -> None:
    from contrapposto.systems.scail_pose.interchange import read_clip_people

    files = sorted(folder.iterdir())
    read_clip_people(folder if len(files) > 1 else files[0], 64, 64)


def _pose_source(folder: Path) -> None:
    from contrapposto.systems.scail_pose.known_motion import read_source
    from contrapposto.systems.scail_pose.settings import Settings

    read_source(folder / "joints.npz", 64, 64, Settings(), figure=folder / "figure.json")


def _image(folder: Path) -> None:
    from contrapposto.systems.anerf.data.masks import read_image as read_avatar_image
    from contrapposto.systems.anerf.data.masks import read_mask
    from contrapposto.systems.scail_pose.extract import read_image

    for read in (read_image, read_mask, read_avatar_image):
        _both(lambda read=read: read(_only(folder)))  # type: ignore[misc]


def _person(folder: Path) -> None:
    from contrapposto.systems.anerf.data.people import read_person

    read_person(_only(folder), (64, 64))


def _h5(folder: Path) -> None:
    from contrapposto.systems.anerf.data.h5 import open_h5

    with open_h5(_only(folder)) as file:
        _exhaust(file.frames())
        file.arrays(), file.splits(), file.scale("ext_scale")


def _body(folder: Path) -> None:
    from contrapposto.body import load_body

    load_body("smpl", path=_only(folder))


def _joints(folder: Path) -> None:
    from contrapposto.systems.scail_pose.joint_arrays import joint_motions

    joint_motions(_only(folder))


def _pickle(folder: Path) -> None:
    from contrapposto.pickles import read_object_npy, read_pickle

    path = _only(folder)
    (read_object_npy if path.suffix == ".npy" else read_pickle)(path)


def _weights(folder: Path) -> None:
    from contrapposto.weights import load_state_dicts

    load_state_dicts(_only(folder))


def _checkpoint(folder: Path) -> None:
    from callbacks.checkpoint import damage
    from contrapposto.checkpoints import load_checkpoint

    damage(_only(folder))
    load_checkpoint(_only(folder))


def _lifter(folder: Path) -> None:
    from contrapposto.systems.scail_pose.lifter import Lifter

    Lifter.from_pretrained(_only(folder))


def _official(folder: Path) -> None:
    from contrapposto.systems.anerf.official import load_official
    from contrapposto.systems.sage.official import stage_of_file

    _both(lambda: stage_of_file(_only(folder)))
    load_official(_only(folder))


def _motion_store(folder: Path) -> None:
    from contrapposto.data.store import MotionStore

    store = MotionStore.open(folder)
    _exhaust(store)
    store.content_hash, store.licences, store.seconds  # noqa: B018 (properties that read the manifest)
    store.verify()


def _mesh_store(folder: Path) -> None:
    from contrapposto.systems.npr.data.mesh_store import MeshStore

    store = MeshStore.open(folder)
    for record in store.identities:
        store.mesh(record.name), store.poses(record.name)
    store.content_hash  # noqa: B018


def _avatar_scene(folder: Path) -> None:
    from contrapposto.systems.anerf.data.scene import AvatarScene

    scene = AvatarScene.open(folder)
    for number in range(scene.num_images):
        scene.image(number), scene.mask(number), scene.background(number)
        scene.pose_index(number), scene.camera_index(number)
    for name in scene.splits:
        scene.split(name)
    scene.content_hash  # noqa: B018


def _scenes(folder: Path) -> None:
    from contrapposto.systems.scail_pose.scene_store import read_truth, scene_folders

    for scene in scene_folders(folder):
        read_truth(scene).in_view(0.5)


def _features(folder: Path) -> None:
    from contrapposto.data.features import FeatureCache

    cache = FeatureCache.open(folder)
    for index in range(len(cache.lengths)):
        cache.clip(index)


def _labels(folder: Path) -> None:
    from contrapposto.data.babel import read_babel
    from contrapposto.data.recipes.cmu import read_index
    from contrapposto.data.recipes.labels import LabelFinder
    from contrapposto.data.splits import read_list
    from contrapposto.data.vocabulary import Vocabulary

    _both(lambda: read_babel(folder / "train.json"))
    _both(lambda: LabelFinder(folder).find(folder / "clip.npz"))
    _both(lambda: read_index(folder / "cmu.csv"))
    _both(lambda: read_list(folder / "split.txt"))
    if (folder / "words.txt").is_file():
        Vocabulary.load(folder / "words.txt")


def _humanact12(folder: Path) -> None:
    from contrapposto.data.recipes import humanact12

    humanact12._content.cache_clear()
    humanact12._content(_only(folder))


def _prepared(recipe: str) -> Callable[[Path], None]:
    """Preparation, to which a bad source is a line in the list of rejects."""

    def read(folder: Path) -> None:
        import tempfile

        from contrapposto.data.prepare import prepare

        with tempfile.TemporaryDirectory() as place:
            prepare(recipe, raw=folder, output=Path(place) / "store", workers=1)

    return read


def _npr_lists(folder: Path) -> None:
    """NPR's two dataset lists and its experiment folder, as arguments of a transfer."""
    from contrapposto.mesh.files import read_mesh
    from contrapposto.systems.npr.pretrained import official_file
    from contrapposto.tasks.npr_inputs import read_source, target_files
    from contrapposto.weights import load_official_state_dict

    _all(
        lambda: read_source(folder / "poses.json", {}),
        lambda: [read_mesh(file) for file in target_files(folder / "targets.json")],
        lambda: load_official_state_dict(official_file(folder / "experiment") or folder / "gone.pth"),
    )


def _anerf_run(folder: Path) -> None:
    """A-NeRF's checkpoint with the args.txt beside it."""
    from contrapposto.systems.anerf.official import load_official, load_official_poses

    checkpoint = next(iter(sorted(folder.glob("*.tar"))), folder / "gone.tar")
    _both(lambda: load_official_poses(checkpoint))
    load_official(checkpoint)


def _configs(folder: Path) -> None:
    """Configuration files of A-NeRF and SAGE, as `contrapposto translate` reads them."""
    from contrapposto.translate import translate

    _all(
        lambda: translate(f"python run_nerf.py --config '{folder}/surreal.txt'"),
        lambda: translate(f"python train_first.py --cfg '{folder}/first.yaml'"),
    )


def _scail_folder(folder: Path) -> None:
    """SCAIL-Pose's folder: the driving video and the image of the character."""
    from contrapposto.systems.scail_pose.extract import read_image
    from contrapposto.systems.scail_pose.jobs import find_jobs
    from contrapposto.video_file import VideoFile

    ((job, _),) = find_jobs(folder)
    _all(
        lambda: None if job.reference is None else read_image(job.reference),
        lambda: _exhaust(VideoFile.open(job.video).frames()),
    )


def _run(folder: Path) -> None:
    from cli.runs import unfinished_runs
    from contrapposto.report.runs import evaluation_folders, read_evaluation, read_run
    from contrapposto.runs import finished_runs, load_config

    run = folder / "model" / "run"
    read_run(run)
    for place in evaluation_folders(run):
        try:
            read_evaluation(place)
        except (ValueError, KeyError, TypeError, AttributeError):  # as it states; its callers tell of it
            continue
    finished_runs(folder, "model"), unfinished_runs(folder, "model", "demo", None)
    load_config(run)


def _shown(folder: Path) -> None:
    from contrapposto.viewer.opening import open_paths

    open_paths([folder] if (folder / "manifest.json").is_file() else [_only(folder)])


def _archive(folder: Path) -> None:
    from contrapposto.data.archives import unpack

    unpack(_only(folder), folder.parent / f"{folder.name}.unpacked")


READERS: dict[str, Reader] = {
    "amass": Reader(seeds.amass, _motion),
    "pose_pickle": Reader(seeds.pose_pickle, _motion),
    "pose_parts": Reader(seeds.pose_parts, _motion),
    "pose_units": Reader(seeds.pose_units, _motion),
    "joint_features": Reader(seeds.joint_features, _joints),
    "joint_results": Reader(seeds.joint_results, _joints),
    "bvh": Reader(seeds.bvh, _motion),
    "rigged_glb": Reader(seeds.rigged_glb, _motion),
    "asf_amc": Reader(seeds.asf_amc, _motion),
    "quest": Reader(seeds.quest, _devices(False)),
    "device_csv": Reader(seeds.device_csv, _devices(True)),
    "packets": Reader(seeds.packets, _devices(False)),
    "video": Reader(seeds.video, _video),
    "gif": Reader(seeds.gif, _video),
    "obj": Reader(seeds.obj, _mesh),
    "glb": Reader(seeds.glb, _mesh),
    "gltf": Reader(seeds.gltf, _mesh),
    "draco": Reader(seeds.draco, _mesh),
    "ply": Reader(seeds.ply, _mesh),
    "ply_polygons": Reader(seeds.ply_polygons, _mesh),
    "ply_strips": Reader(seeds.ply_strips, _mesh),
    "stl": Reader(seeds.stl, _mesh),
    "off": Reader(seeds.off, _mesh),
    "mesh_zip": Reader(seeds.mesh_zip, _poses),
    "anime": Reader(seeds.anime, _poses),
    "animated_glb": Reader(seeds.animated_glb, _poses),
    "people": Reader(seeds.people, _clip_people),
    "nlfpred": Reader(seeds.nlfpred, _clip_people),
    "dwposes": Reader(seeds.dwposes, _clip_people),
    "openpose": Reader(seeds.openpose, _clip_people),
    "pose_source": Reader(seeds.pose_source, _pose_source),
    "image": Reader(seeds.image, _image),
    "person": Reader(seeds.person, _person),
    "h5": Reader(seeds.h5, _h5),
    "body_npz": Reader(seeds.body_npz, _body),
    "body_pkl": Reader(seeds.body_pkl, _body),
    "object_npy": Reader(seeds.object_npy, _pickle),
    "weights": Reader(seeds.weights, _weights),
    "old_weights": Reader(seeds.old_weights, _weights),
    "safetensors": Reader(seeds.safetensors, _weights),
    "checkpoint": Reader(seeds.checkpoint, _checkpoint),
    "portable": Reader(seeds.portable, _checkpoint),
    "lifter": Reader(seeds.lifter, _lifter),
    "official": Reader(seeds.official, _official),
    "motion_store": Reader(seeds.motion_store, _motion_store),
    "mesh_store": Reader(seeds.mesh_store, _mesh_store),
    "avatar_scene": Reader(seeds.avatar_scene, _avatar_scene),
    "pose_scenes": Reader(seeds.pose_scenes, _scenes),
    "features": Reader(seeds.features, _features),
    "labels": Reader(seeds.labels, _labels),
    "humanact12": Reader(seeds.humanact12, _humanact12),
    "prepare": Reader(seeds.amass, _prepared("amass")),
    "sage_folder": Reader(seeds.sage_folder, _prepared("sage_folder")),
    "posegpt_folder": Reader(seeds.posegpt_folder, _prepared("posegpt_folder")),
    "npr_lists": Reader(seeds.npr_lists, _npr_lists),
    "anerf_run": Reader(seeds.anerf_run, _anerf_run),
    "configs": Reader(seeds.configs, _configs),
    "scail_folder": Reader(seeds.scail_folder, _scail_folder),
    "run": Reader(seeds.run, _run),
    "view_people": Reader(seeds.people, _shown),
    "view_glb": Reader(seeds.sequence_glb, _shown),
    "view_store": Reader(seeds.motion_store, _shown),
    "archive": Reader(seeds.tar_gz, _archive),
}


def _only(folder: Path, but: tuple[str, ...] = ()) -> Path:
    """The input's one file, those beside it left out; a missing one where it is gone."""
    return next((file for file in sorted(folder.iterdir()) if file.suffix not in but), folder / "gone.npz")


def _exhaust(items: Iterable[Any]) -> None:
    for _ in items:
        pass


def _all(*reads: Callable[[], object]) -> None:
    """Read one file after the other; the first clear error is raised when all have had their turn."""
    from contrapposto.errors import ContrappostoError

    errors = []
    for read in reads:
        try:
            read()
        except ContrappostoError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _both(read: Callable[[], object]) -> None:
    """Read; a clear error does not keep the next reader from its turn."""
    from contrapposto.errors import ContrappostoError

    with suppress(ContrappostoError):
        read()
