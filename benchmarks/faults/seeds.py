"""Small valid files of every format that the suite reads, written by its own writers where it has one."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np


def amass(folder: Path) -> None:
    """A clip of 24 joints with labels."""
    from contrapposto.io import write_motion

    write_motion(folder / "clip.npz", _clip())


def pose_pickle(folder: Path) -> None:
    """A clip in SAGE's layout."""
    from contrapposto.io import write_motion

    write_motion(folder / "clip.pkl", _clip())


def pose_parts(folder: Path) -> None:
    """A pose in parts under smplx's names."""
    clip = _clip()
    poses = clip.rotations[:, :22]
    arrays = {"global_orient": poses[:, 0], "body_pose": poses[:, 1:].reshape(len(poses), -1)}
    np.savez(folder / "clip.npz", transl=clip.root_translation, fps=30.0, **arrays)


def joint_features(folder: Path) -> None:
    """HumanML3D's features of six frames of a figure that stands."""
    from contrapposto.skeleton import SMPLH52

    places = np.tile(SMPLH52.rest_positions[:22] + np.array([0.0, 0.9, 0.0]), (6, 1, 1))
    features = np.zeros((6, 263))
    features[:, 0], features[:, 2], features[:, 3] = 0.01, 0.05, places[:, 0, 1]
    features[:, 4:67] = (places[:, 1:] - places[:, :1] * [1, 0, 1]).reshape(6, 63)
    np.save(folder / "clip.npy", features)


def joint_results(folder: Path) -> None:
    """MDM's object of two motions."""
    from contrapposto.skeleton import SMPLH52

    places = np.tile(SMPLH52.rest_positions[:22].astype(np.float32)[None, :, :, None], (2, 1, 1, 6))
    content = {"motion": places, "lengths": np.array([6, 4]), "text": ["walk", "sit"], "num_samples": 2}
    np.save(folder / "results.npy", np.array(content, dtype=object), allow_pickle=True)


def pose_units(folder: Path) -> None:
    """EasyMocap's arrays with times of frames, and a scale of the path."""
    clip = _clip()
    poses = clip.rotations[:, :24].reshape(clip.num_frames, -1).copy()
    poses[:, :3] = 0
    arrays = {
        "Rh": clip.rotations[:, 0],
        "Th": clip.root_translation * 100,
        "smpl_scaling": np.array([100.0]),
    }
    np.savez(folder / "clip.npz", poses=poses, timestamps=np.arange(clip.num_frames) / 30, **arrays)


def rigged_glb(folder: Path) -> None:
    """An animated skeleton with a skin and no mesh."""
    from contrapposto.mesh.gltf_document import Document
    from contrapposto.skeleton import SMPL22

    document, rest = Document(), SMPL22.rest_positions
    for joint, parent in enumerate(SMPL22.parents):
        children = [child for child, above in enumerate(SMPL22.parents) if above == joint]
        node = {"name": SMPL22.joint_names[joint], "translation": SMPL22.offsets[joint].tolist()}
        document.nodes.append(node | ({"children": children} if children else {}))
        if parent < 0:
            document.roots.append(joint)
    binds = np.tile(np.eye(4, dtype=np.float32), (22, 1, 1))
    binds[:, 3, :3] = -rest
    document.skins.append({"joints": list(range(22)), "inverseBindMatrices": document.array(binds)})
    times = document.array(np.array([0, 0.5, 1], np.float32), bounds=True)
    turns = np.array([[0, 0, 0, 1], [0.1, 0, 0, 0.995], [0, 0.1, 0, 0.995]], np.float32)
    for joint in (0, 4, 17):
        document.track(joint, "rotation", times, turns)
    (folder / "rig.glb").write_bytes(document.encode(""))


def bvh(folder: Path) -> None:
    """The same clip of the body joints as BVH."""
    from contrapposto.io import write_motion

    write_motion(folder / "clip.bvh", _clip())


def asf_amc(folder: Path) -> None:
    """A figure with CMU's bone names, and three frames of it."""
    chains = (
        *("lhipjoint lfemur ltibia lfoot", "rhipjoint rfemur rtibia rfoot", "lowerback upperback thorax"),
        *(
            "lowerneck upperneck head",
            "lclavicle lhumerus lradius lwrist",
            "rclavicle rhumerus rradius rwrist",
        ),
    )
    bones = " ".join(chains).split()
    parents: dict[str, str] = {}
    for chain in chains:
        names = chain.split()
        first = "thorax" if names[0] in ("lowerneck", "lclavicle", "rclavicle") else "root"
        parents |= dict(zip(names, (first, *names)))
    down = {"l": "0.5 -0.8 0", "r": "-0.5 -0.8 0"}
    lines = [":version 1.10", ":name VICON", ":units", "  mass 1.0", "  length 0.45", "  angle deg", ":root"]
    lines += [
        "  order TX TY TZ RX RY RZ",
        "  axis XYZ",
        "  position 0 0 0",
        "  orientation 0 0 0",
        ":bonedata",
    ]
    for number, name in enumerate(bones, 1):
        side = down[name[0]] if name[0] in down and name not in ("lowerback", "lowerneck") else "0 1 0"
        lines += [
            "  begin",
            f"    id {number}",
            f"    name {name}",
            f"    direction {side}",
            "    length 4.5",
        ]
        lines += ["    axis 0 0 20 XYZ", "    dof rx ry rz", "    limits (-160 20)", "  end"]
    lines += [":hierarchy", "  begin", "    root " + " ".join(n for n, p in parents.items() if p == "root")]
    for parent in bones:
        children = [name for name, own in parents.items() if own == parent]
        lines += [f"    {parent} {' '.join(children)}"] if children else []
    (folder / "01.asf").write_text("\n".join([*lines, "  end"]) + "\n")
    frames = [":FULLY-SPECIFIED", ":DEGREES"]
    for number in range(1, 4):
        frames += [str(number), "root 1 16 2 -2 -9 -3", *(f"{name} {number} 2 3" for name in bones)]
    (folder / "01_01.amc").write_text("\n".join(frames) + "\n")


def quest(folder: Path) -> None:
    """Six records of a headset's log."""
    device = "{0}-Position: (0.1, 1.5, 0.2);{0}-Rotation: (0.0, 0.0, 0.0, 1.0)"
    record = ";".join(
        ["FPS:72.0", *(device.format(n) for n in ("Headset", "LeftController", "RightController"))]
    )
    (folder / "log.txt").write_text("\n\n".join([record] * 6) + "\n")


def device_csv(folder: Path) -> None:
    """The devices of the clip as CSV."""
    from contrapposto.io.device_csv import write_csv
    from contrapposto.io.devices import devices_of

    write_csv(folder / "track.csv", devices_of(_clip()))


def packets(folder: Path) -> None:
    """The devices of the clip as packets."""
    from contrapposto.io.devices import devices_of
    from contrapposto.io.packets import encode, packets_of

    lines = [encode(packet) for packet in packets_of(devices_of(_clip()))]
    (folder / "track.jsonl").write_bytes(b"\n".join(lines) + b"\n")


def video(folder: Path) -> None:
    """Eight small frames as H.264."""
    from contrapposto.render import VideoWriter

    with VideoWriter(folder / "video.mp4", 8, (48, 32)) as writer:
        for number in range(8):
            writer.write(np.full((32, 48, 3), 20 * number, np.uint8))


def gif(folder: Path) -> None:
    """Three frames as GIF."""
    from PIL import Image

    frames = [Image.fromarray(np.full((16, 20, 3), 40 * n, np.uint8)) for n in range(3)]
    frames[0].save(folder / "video.gif", save_all=True, append_images=frames[1:], duration=100)


def obj(folder: Path) -> None:
    """A textured tetrahedron with its materials."""
    from contrapposto.mesh.files import write_mesh

    write_mesh(folder / "mesh.obj", tetrahedron())


def glb(folder: Path) -> None:
    """A skinned figure with one clip."""
    from contrapposto.io.glb import write_glb

    write_glb(folder / "figure.glb", _clip(), body=_tiny_body())


def gltf(folder: Path) -> None:
    """The tetrahedron as JSON with its buffer beside it."""
    from contrapposto.mesh.gltf_write import write_mesh_glb

    data = write_mesh_glb(folder / "mesh.glb", tetrahedron()).read_bytes()
    (folder / "mesh.glb").unlink()
    length = int.from_bytes(data[12:16], "little")
    document = json.loads(data[20 : 20 + length])
    document["buffers"][0]["uri"] = "mesh.bin"
    (folder / "mesh.gltf").write_text(json.dumps(document))
    (folder / "mesh.bin").write_bytes(data[28 + length :])


def draco(folder: Path) -> None:
    """The tetrahedron as GLB, compressed by Draco (the extra `draco`)."""
    import DracoPy

    from contrapposto.mesh.draco import EXTENSION
    from contrapposto.mesh.gltf_document import Document, pack_glb

    mesh, document = tetrahedron(), Document()
    data = DracoPy.encode(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32), preserve_order=True)
    document.views.append({"buffer": 0, "byteOffset": 0, "byteLength": len(data)})
    document.binary += data + bytes(-len(data) % 4)
    document.accessors = [
        {"componentType": 5126, "type": "VEC3", "count": len(mesh.vertices)},
        {"componentType": 5125, "type": "SCALAR", "count": mesh.faces.size},
    ]
    packed = {EXTENSION: {"bufferView": 0, "attributes": {"POSITION": 0}}}
    primitive = {"attributes": {"POSITION": 0}, "indices": 1, "extensions": packed}
    document.meshes.append({"primitives": [primitive]})
    document.nodes.append({"mesh": 0})
    document.roots.append(0)
    content = {**document.content(""), "extensionsRequired": [EXTENSION]}
    (folder / "mesh.glb").write_bytes(pack_glb(content, bytes(document.binary)))


def ply(folder: Path) -> None:
    """The tetrahedron as PLY."""
    _plain_mesh(folder / "mesh.ply")


def ply_polygons(folder: Path) -> None:
    """Polygons of different lengths, one of them concave, with coordinates and colours of their corners, as text."""
    header = (
        "ply\nformat ascii 1.0\ncomment TextureFile skin.png\nelement vertex 6\nproperty float x\nproperty float y\n"
        "property float z\nproperty uchar red\nproperty uchar green\nproperty uchar blue\nelement face 2\n"
        "property list uchar int vertex_indices\nproperty list uchar float texcoord\nend_header\n"
    )
    places = ((0, 0, 0), (2, 0, 0), (2, 2, 0), (1, 0.5, 0), (0, 2, 0), (0, 0, 1))
    rows = [f"{x} {y} {z} 9 9 {10 * y:g}" for x, y, z in places]
    rows += ["5 0 1 2 3 4 10 0 0 1 0 1 1 0.5 0.2 0 1", "3 0 5 1 6 0 0 0 1 1 0"]
    (folder / "mesh.ply").write_text(header + "\n".join(rows) + "\n")
    (folder / "skin.png").write_bytes(tetrahedron().materials[0].texture)


def ply_strips(folder: Path) -> None:
    """Strips and lists of different lengths, big-endian."""
    header = (
        "ply\nformat binary_big_endian 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
        "element marks 2\nproperty list uchar short values\nelement tristrips 1\n"
        "property list int int vertex_indices\nend_header\n"
    )
    places = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], ">f4").tobytes()
    marks = b"\x01\x00\x07\x02\x00\x01\x00\x02"
    (folder / "mesh.ply").write_bytes(
        header.encode() + places + marks + np.array([5, 0, 1, 2, -1, 3], ">i4").tobytes()
    )


def stl(folder: Path) -> None:
    """The tetrahedron as STL."""
    _plain_mesh(folder / "mesh.stl")


def off(folder: Path) -> None:
    """The tetrahedron as OFF."""
    _plain_mesh(folder / "mesh.off")


def mesh_zip(folder: Path) -> None:
    """A template and a pose in an archive."""
    content = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 2 3 4\n"
    with zipfile.ZipFile(folder / "poses.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("template", "pose_1"):
            archive.writestr(f"poses/{name}.obj", content)


def anime(folder: Path) -> None:
    """Three frames of DeformingThings4D's format."""
    mesh = tetrahedron()
    moves = np.zeros((2, len(mesh.vertices), 3), "<f4")
    parts = [np.array([3, len(mesh.vertices), len(mesh.faces)], "<i4"), mesh.vertices.astype("<f4")]
    (folder / "walk.anime").write_bytes(
        b"".join(p.tobytes() for p in (*parts, mesh.faces.astype("<i4"), moves))
    )


animated_glb = glb


def sequence_glb(folder: Path) -> None:
    """The tetrahedron with morph targets."""
    from contrapposto.mesh.gltf_write import write_mesh_glb

    mesh = tetrahedron()
    write_mesh_glb(folder / "sequence.glb", mesh, np.stack([mesh.vertices * s for s in (1, 2, 1.5)]))


def people(folder: Path) -> None:
    """Two people of three frames, as npz."""
    from contrapposto.systems.scail_pose.interchange import write_people

    write_people(folder / "people.npz", _people())


def nlfpred(folder: Path) -> None:
    """Their joints as JSON."""
    from contrapposto.systems.scail_pose.interchange import write_nlfpred

    write_nlfpred(folder / "joints.json", _people())


def dwposes(folder: Path) -> None:
    """Their keypoints as pose dicts."""
    from contrapposto.systems.scail_pose.interchange import write_dwposes

    write_dwposes(folder / "poses.json", _people())


def openpose(folder: Path) -> None:
    """Their keypoints as OpenPose's files."""
    from contrapposto.systems.scail_pose.openpose import write_openpose

    for file in write_openpose(folder / "made", _people()).iterdir():
        file.rename(folder / file.name)
    (folder / "made").rmdir()


def pose_source(folder: Path) -> None:
    """Joints of a skeleton of its own, and its stick figure."""
    np.savez(folder / "joints.npz", joints=_people().frames[0][0].joints[None, None].repeat(3, 0), fps=16.0)
    figure = {"joints": 24, "limbs": [[0, 1], [1, 2]], "colors": [[255, 0, 0], [0, 9, 0]], "radius": [9, 9]}
    (folder / "figure.json").write_text(json.dumps(figure))


def image(folder: Path) -> None:
    """A small PNG with a palette and a mark that it is to be turned."""
    from PIL import Image

    image = Image.fromarray(np.arange(16 * 20 * 3, dtype=np.uint8).reshape(16, 20, 3))
    exif = Image.Exif()
    exif[274] = 6
    image.convert("P").save(folder / "image.png", exif=exif)


def person(folder: Path) -> None:
    """Poses before a camera."""
    arrays: dict[str, Any] = {
        "poses": np.zeros((4, 72)),
        "transl": np.tile([0.0, 0, 5], (4, 1)),
        "betas": np.zeros(10),
    }
    np.savez(folder / "poses.npz", **arrays, focal=500.0, frame_ids=np.arange(4))


def h5(folder: Path) -> None:
    """A-NeRF's training file of a made scene."""
    import tempfile

    from contrapposto.systems.anerf.data.h5 import write_h5

    with tempfile.TemporaryDirectory() as place:
        write_h5(folder / "scene.h5", _scene(Path(place) / "scene"))


def body_npz(folder: Path) -> None:
    """A body file of 30 vertices."""
    np.savez(folder / "SMPL_NEUTRAL.npz", **_body_arrays())


def body_pkl(folder: Path) -> None:
    """The same as the official pickles are."""
    import scipy.sparse

    arrays: dict[str, Any] = {**_body_arrays(), "bs_style": "lbs"}
    arrays["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    (folder / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(arrays, 2))


def object_npy(folder: Path) -> None:
    """A dictionary in a .npy file."""
    content = {"K": np.eye(3), "cams": {"R": [np.eye(3)], "names": ["a"]}}
    np.save(folder / "annots.npy", np.array(content, dtype=object), allow_pickle=True)


def weights(folder: Path) -> None:
    """A checkpoint of torch's present format."""
    import torch

    torch.save(_state(), folder / "best.pth.tar")


def old_weights(folder: Path) -> None:
    """The same in the format before torch 1.6."""
    import torch

    torch.save(_state(), folder / "best.pth.tar", _use_new_zipfile_serialization=False)


def safetensors(folder: Path) -> None:
    """A state dict as safetensors."""
    from contrapposto.weights import save_weights

    save_weights(folder / "best.safetensors", _state()["state_dict"], {"licence": "CC0-1.0"})


def checkpoint(folder: Path) -> None:
    """A checkpoint of training."""
    from callbacks import AtomicCheckpointIO

    content = {**_state(), "hyper_parameters": {"width": 4, "parts": [1, 2]}, "global_step": 7, "loops": {}}
    AtomicCheckpointIO().save_checkpoint(content, folder / "last.ckpt")


def portable(folder: Path) -> None:
    """A published checkpoint."""
    from contrapposto.portable import save_portable

    save_portable(folder / "best.safetensors", {**_state(), "hyper_parameters": {"width": 4}})


def lifter(folder: Path) -> None:
    """A small lifter."""
    import torch

    from contrapposto.systems.scail_pose.lifter import Lifter

    options = {"width": 8, "heads": 2, "layers": 1}
    state = {f"network.{name}": value for name, value in Lifter(4, **options).state_dict().items()}
    torch.save(
        {"hyper_parameters": {"window": 4, "network": options}, "state_dict": state}, folder / "best.ckpt"
    )


def official(folder: Path) -> None:
    """A small A-NeRF in its authors' names."""
    import torch

    from contrapposto.systems.anerf.model import ANeRF, ANeRFConfig
    from contrapposto.systems.anerf.official import _PLACES

    config = ANeRFConfig(
        width=4, depth=2, distance_frequencies=1, view_frequencies=1, num_codes=2, code_size=4
    )
    state = ANeRF(config).state_dict()
    parts: dict[str, dict[str, Any]] = {}
    for name, own in _PLACES.items():
        results = {key[len(own) + 1 :]: value for key, value in state.items() if key.startswith(f"{own}.")}
        parts[f"{name}_state_dict"] = results
    torch.save(parts, folder / "model.tar")


def motion_store(folder: Path) -> None:
    """A prepared store of two clips."""
    import shutil
    import tempfile

    from contrapposto.data.prepare import prepare
    from contrapposto.io import write_motion

    with tempfile.TemporaryDirectory() as place:
        raw = Path(place) / "raw"
        for name in ("a", "b"):
            write_motion(raw / f"{name}.npz", _clip())
        prepare("amass", raw=raw, output=Path(place) / "store", workers=1)
        for file in (Path(place) / "store").iterdir():
            shutil.move(file, folder / file.name)


def mesh_store(folder: Path) -> None:
    """Two poses of the tetrahedron."""
    from contrapposto.systems.npr.data.mesh_store import Identity, Origin, write_store

    mesh = tetrahedron()
    poses = np.stack([mesh.vertices, mesh.vertices * 2])
    write_store(folder, [Identity("one", mesh, poses, ("p1", "p2"))], Origin("npr_meshes", "made", "CC0-1.0"))


def avatar_scene(folder: Path) -> None:
    """A made scene of a person before two cameras."""
    _scene(folder)


def pose_scenes(folder: Path) -> None:
    """What is known of a made scene of people."""
    from contrapposto.systems.scail_pose.scene_store import SCHEMA

    (folder / "one").mkdir()
    truth: dict[str, Any] = {"joints": np.ones((3, 2, 24, 3), np.float32), "intrinsics": np.eye(3) * 50}
    truth["open"] = np.ones((3, 2, 24), bool)
    np.savez(folder / "one" / "truth.npz", **truth, size=np.array([32, 48]), fps=16.0)
    (folder / "manifest.json").write_text(json.dumps({"schema": SCHEMA, "folders": ["one"]}))


def features(folder: Path) -> None:
    """A cache of two features."""
    np.save(folder / "poses.npy", np.ones((9, 4), np.float32))
    np.save(folder / "times.npy", np.ones((9, 1), np.float32))
    metadata = {"arrays": ["poses", "times"], "lengths": [4, 5], "skipped": {}}
    (folder / "features.json").write_text(json.dumps(metadata))


def labels(folder: Path) -> None:
    """Annotations, tables and lists beside motion."""
    label = {"act_cat": ["walk"], "proc_label": "walk", "start_t": 0.5, "end_t": 2.0}
    babel = {
        "1": {
            "feat_p": "CMU/CMU/01/01_01_poses.npz",
            "seq_ann": {"labels": [label]},
            "frame_ann": {"labels": [label]},
        }
    }
    (folder / "train.json").write_text(json.dumps(babel))
    (folder / "clip.json").write_text(json.dumps({"frame_ann": [{"act": "walk", "start_t": 0, "end_t": 1}]}))
    (folder / "index.csv").write_text("file,label,style\nclip.npz,walk,old\n")
    (folder / "cmu.csv").write_text("Subject,Trial #,Motion Description,Framerate\n1,1,walk,120\n")
    (folder / "split.txt").write_text("# list\nCMU/01/01_01_poses.npz\n")
    (folder / "words.txt").write_text("walk: stroll, go\nsit\n")


def humanact12(folder: Path) -> None:
    """Two clips of HumanAct12's pickle."""
    content = {"poses": [np.zeros((4, 72))] * 2, "joints3D": [np.zeros((4, 24, 3))] * 2, "y": [0, 3]}
    (folder / "humanact12poses.pkl").write_bytes(pickle.dumps(content, 2))


def run(folder: Path) -> None:
    """A finished run with an evaluation."""
    place = folder / "model" / "run"
    (place / "checkpoints").mkdir(parents=True)
    (place / "checkpoints" / "best.ckpt").write_bytes(b"x")
    values = {"metrics": {"val/mpjpe": 1.5}, "step": 4}
    written: dict[str, Any] = {
        "metrics.json": {"monitor": "val/mpjpe", "mode": "min", "best": values, "last": values},
        "provenance.json": {"status": "finished", "seed": 1, "data": {"name": "demo"}, "seconds": 3.0},
        "result.json": {
            **{"model": "model", "experiment": None, "data": {"name": "demo"}, "checkpoint_sha256": "0"},
            **{"checkpoint": "checkpoints/best.ckpt", "monitor": "val/mpjpe", "mode": "min", "score": 1.5},
        },
        "evaluation/test/metrics.json": {"test": {"metrics": {"test/mpjpe": 1.0}, "clips": 2, "frames": 9}},
    }
    for name, content in written.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(json.dumps(content))
    (place / "metrics.csv").write_text("step,epoch,train/loss\n1,0,0.5\n2,0,0.25\n")
    for name in ("config.yaml", "evaluation/test/config.yaml"):
        (place / name).write_text("name: model\nstage: test\nexperiment_name: null\ndata: {name: demo}\n")


def tar_gz(folder: Path) -> None:
    """A compressed archive of two files."""
    with tarfile.open(folder / "data.tar.gz", "w:gz") as archive:
        for name in ("a/one.txt", "a/two.txt"):
            info = tarfile.TarInfo(name)
            info.size = 900
            archive.addfile(info, io.BytesIO(b"words " * 150))


def sage_folder(folder: Path) -> None:
    """A clip as SAGE's prepare_data.py leaves it."""
    import torch

    clip = _clip()
    poses = torch.from_numpy(clip.rotations[:, :22].reshape(clip.num_frames, 66))
    parameters = {"root_orient": poses[:, :3], "pose_body": poses[:, 3:]}
    content = {
        "rotation_local_full_gt_list": torch.zeros(clip.num_frames - 1, 132),
        "body_parms_list": {**parameters, "trans": torch.from_numpy(clip.root_translation)},
        "head_global_trans_list": np.zeros((clip.num_frames - 1, 4, 4)),
        "framerate": 60,
        "gender": np.array("male"),
        "filepath": "amass/CMU/CMU/01/01_01_poses.npz",
    }
    (folder / "CMU").mkdir()
    torch.save(content, folder / "CMU" / "1.pt")


def posegpt_folder(folder: Path) -> None:
    """Two pieces as PoseGPT's preparation leaves them."""
    import torch

    poses = torch.linspace(-0.5, 0.5, 16 * 168).reshape(16, 168)
    (folder / "pose.pkl").write_bytes(pickle.dumps([poses, poses[:12, :]]))
    torch.save(torch.eye(2, 60, dtype=torch.int32), folder / "action.pt")


def npr_lists(folder: Path) -> None:
    """NPR's lists: two poses of the tetrahedron, and a target repeated; a checkpoint in its experiment folder."""
    import torch

    from contrapposto.mesh.files import write_mesh

    mesh = tetrahedron().moved(tetrahedron().vertices)
    for name, scale in (("template", 1.0), ("0000000", 1.5), ("0000001", 2.0)):
        (folder / name).mkdir()
        write_mesh(folder / name / "mesh.obj", mesh.moved(mesh.vertices * scale))
    places = {name: f"../data/{name}/mesh.obj" for name in ("template", "0000000", "0000001")}
    shared = {"src": places["template"], "name": "smpl", "fps_inds": [0] * 30, "J_file": "../data/none.npy"}
    rows = [{**shared, "tgt": places[name], "pair_id": name} for name in ("0000000", "0000001")]
    (folder / "poses.json").write_text(json.dumps(rows))
    (folder / "targets.json").write_text(json.dumps([{**shared, "tgt": places["template"]}] * 3))
    (folder / "experiment" / "checkpoints").mkdir(parents=True)
    content = {"model": _state()["state_dict"], "optim": {"state": {}, "param_groups": []}, "epoch": 299}
    torch.save(content, folder / "experiment" / "checkpoints" / "ckpt_epoch-000299.pth")


def anerf_run(folder: Path) -> None:
    """A small A-NeRF with the options of its training."""
    official(folder)
    lines = ("N_samples = 48", "N_importance = 8", "density_type = softplus", "density_scale = 1.0")
    (folder / "args.txt").write_text("\n".join((*lines, "lindisp = False", "expname = surreal", "")))


def configs(folder: Path) -> None:
    """Configuration files of A-NeRF and SAGE."""
    (folder / "surreal.txt").write_text(
        "expname = surreal\nbasedir = logs\ndataset_type = surreal\nsubject = female\nN_rand = 2048\n"
        "N_sample_images = 128\nn_iters = 150000\ni_testset = 10000\nlrate = 5e-4\nlrate_decay = 500\n"
        "loss_fn = MSE\nopt_pose = True\nopt_rot6d = True\nopt_pose_tol = 0.01\ncutoff_mm = 500\n"
        "render_factor = 2\nuse_temp_loss = True\ntemp_coef = 0.05\nuse_yuv = False\n# a remark\n"
    )
    (folder / "first.yaml").write_text("PROTOCOL: 2_full_dataset\nBATCH_SIZE: 400\nSAVE_DIR: outputs/first\n")


def scail_folder(folder: Path) -> None:
    """A driving video and the image of a character."""
    video(folder)
    image(folder)
    next(folder.glob("*.mp4")).rename(folder / "driving.mp4")
    (folder / "image.png").rename(folder / "ref_image.png")


def _clip() -> Any:
    from contrapposto.synthetic import generate

    return generate("walk", seconds=0.4, fps=30.0)


def tetrahedron() -> Any:
    """Four textured triangles."""
    from PIL import Image

    from contrapposto.mesh.asset import Material, MeshAsset

    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (200, 10, 10)).save(buffer, "PNG")
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float64)
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float64)
    skin = (Material("skin", texture=buffer.getvalue()),)
    return MeshAsset(vertices, faces, corners, faces, np.zeros(4, np.int64), skin)


def _plain_mesh(path: Path) -> None:
    from contrapposto.mesh.files import write_mesh

    write_mesh(path, tetrahedron())


def _people() -> Any:
    from contrapposto.systems.scail_pose.camera import default_intrinsics
    from contrapposto.systems.scail_pose.interface import Person
    from contrapposto.systems.scail_pose.people import ClipPoses

    random = np.random.default_rng(0)

    def one(number: int) -> Person:
        joints = random.normal(0, 300, (24, 3)) + np.array([0, 0, 3000])
        points = random.uniform(1, 60, (134, 2))
        return Person(number, np.array([1.0, 1, 60, 60]), 0.9, points, np.full(134, 0.8), joints)

    frames = [[one(0), one(1)], [one(0)], []]
    return ClipPoses(64, 48, 16.0, default_intrinsics(64, 48), frames)


def _body_arrays() -> dict[str, Any]:
    from contrapposto.skeleton import SMPL24

    random = np.random.default_rng(0)
    skin, regressor = random.random((30, 24)) + 0.1, random.random((24, 30))
    return {
        "v_template": random.normal(size=(30, 3)),
        "shapedirs": random.normal(size=(30, 3, 10)),
        "posedirs": random.normal(size=(30, 3, 207)),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": skin / skin.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *SMPL24.parents[1:]], range(24)], np.uint32),
        "f": np.array([[0, 1, 2], [1, 2, 3]], np.uint32),
    }


def _tiny_body() -> Any:
    from contrapposto.body.model import BodyModel
    from contrapposto.skeleton import SMPLH52

    random = np.random.default_rng(0)
    joints = SMPLH52.num_joints
    skin, regressor = random.random((60, joints)) + 0.1, random.random((joints, 60))
    arrays = {
        "v_template": random.normal(size=(60, 3)),
        "shapedirs": random.normal(size=(60, 3, 4)),
        "posedirs": random.normal(size=(60, 3, 9 * (joints - 1))),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": skin / skin.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *SMPLH52.parents[1:]], range(joints)], np.uint32),
        "f": np.arange(60, dtype=np.uint32).reshape(-1, 3),
    }
    return BodyModel.from_arrays(arrays, name="tiny", gender="neutral")


def _scene(path: Path) -> Any:
    import torch

    from contrapposto import rotations as rot
    from contrapposto.systems.anerf.data import Frame, SceneMetadata, write_scene
    from contrapposto.systems.anerf.kinematics import REST_POSE, UNIT_SCALE, bounding_cylinder, pose_bones

    random = np.random.default_rng(0)
    bones, rest = random.normal(0, 0.3, (2, 24, 3)), REST_POSE * UNIT_SCALE
    turned = rot.axis_angle_to_matrix(torch.from_numpy(bones))
    posed = pose_bones(turned, torch.from_numpy(rest), torch.zeros(2, 3, dtype=torch.float64))
    cameras = np.tile(np.eye(4), (2, 1, 1))
    cameras[:, :3, :3] *= [1, -1, -1]
    cameras[:, 2, 3] = [-6, -7]
    index = np.arange(4)
    arrays = {
        "kp_idxs": index % 2,
        "camera_idxs": index // 2,
        "cam_idxs": index // 2,
        "kp3d": posed.joints.numpy(),
        "bones": bones,
        "skts": posed.world_to_bone.numpy(),
        "cyls": bounding_cylinder(posed.joints).numpy(),
        "rest_pose": rest,
        "c2ws": cameras,
        "focals": np.full(2, 60.0),
    }
    mask = np.zeros((12, 10), bool)
    mask[3:9, 3:7] = True
    frames = [Frame(random.integers(0, 255, (12, 10, 3)).astype(np.uint8), mask) for _ in range(4)]
    return write_scene(path, frames, arrays, (12, 10), SceneMetadata("made", "made for a test", "CC0-1.0"))


def _state() -> dict[str, Any]:
    import torch

    layer = torch.nn.Linear(4, 3)
    return {"epoch": 3, "state_dict": {**layer.state_dict(), "more.count": torch.tensor(5)}, "best": 0.5}
