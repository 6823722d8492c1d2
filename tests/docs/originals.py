"""A folder as users of the five originals have it: files in their formats, under the names of docs/coming_from.md."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.faults import seeds
from contrapposto.io import write_motion
from contrapposto.io.amass import write_amass
from contrapposto.mesh import write_mesh
from contrapposto.skeleton import SMPLX55
from contrapposto.studio.examples import Examples, make_examples
from contrapposto.synthetic import generate
from contrapposto.systems.anerf.data import AvatarScene
from contrapposto.systems.anerf.data.h5 import write_h5
from contrapposto.systems.anerf.model import ANeRF, ANeRFConfig
from contrapposto.systems.anerf.poses import PoseLayer
from contrapposto.systems.npr import NPR
from tests.lightning_modules.anerf_tiny import write_sticks
from tests.mesh.shapes import bent, sphere
from tests.systems.posegpt.test_official import filled, vqvae_shapes
from tests.systems.sage.test_official import write_archive

SUBSETS = ("CMU", "BioMotionLab_NTroje", "MPI_HDM05")
ACTIONS = ("walk", "run", "squat", "jump")


def write_npr(place: Path) -> None:
    """`A.json` and `B.json` with their meshes below `data`, and the experiment folder `demo_exp`."""
    ball = sphere(1)
    meshes = place / "data" / "smpl_default" / "meshes"
    for number in range(8):
        pose = ball.moved(bent(ball.vertices, 0.1 * number))
        write_mesh(meshes / ("template" if not number else f"{number:07d}") / "mesh.obj", pose)
    template = "../data/smpl_default/meshes/template/mesh.obj"
    rows = [{"tgt": f"../data/smpl_default/meshes/{number:07d}/mesh.obj"} for number in range(1, 8)]
    source = [{"name": "smpl", "src": template, "pair_id": row["tgt"][-16:-9], **row} for row in rows]
    (place / "A.json").write_text(json.dumps(source))
    write_mesh(
        place / "data" / "mixamo_models" / "egg.obj", ball.moved(ball.vertices * np.array([1.0, 0.6, 0.8]))
    )
    egg = {"name": "egg", "src": "../data/mixamo_models/egg.obj", "tgt": "../data/mixamo_models/egg.obj"}
    (place / "B.json").write_text(json.dumps([egg] * len(source)))
    checkpoints = place / "demo_exp" / "checkpoints"
    checkpoints.mkdir(parents=True)
    content = {"model": NPR().state_dict(), "optim": {"state": {}, "param_groups": []}, "epoch": 299}
    torch.save(content, checkpoints / "ckpt_epoch-000299.pth")


def write_anerf(place: Path) -> None:
    """Training files of two data sets, `args.txt` and checkpoints as `.tar`, a configuration file."""
    scene = write_sticks(place / "made")
    for name in ("surreal/surreal_train_h5py.h5", "mixamo/James_processed_h5py.h5"):
        (place / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        write_h5(place / "data" / name, scene)
    torch.manual_seed(0)
    (place / "logs" / "james").mkdir(parents=True)
    for path, codes in ((place / "X.tar", 0), (place / "logs" / "james" / "500000.tar", 9)):
        sizes = {"depth": 6, "width": 32, "distance_frequencies": 2, "view_frequencies": 0}
        network = ANeRF(ANeRFConfig(**sizes, single_network=True, num_codes=codes))
        parts = {"network_fine_state_dict": dict(network.fine.state_dict())}
        parts["poseopt_layer_state_dict"] = dict(_refined(scene).state_dict())
        torch.save({"global_step": 1, **parts}, path)
    (place / "args.txt").write_text("N_samples = 8\nN_importance = 4\nexpname = surreal\n")
    (place / "configs" / "surreal").mkdir(parents=True)
    (place / "configs" / "surreal" / "surreal.txt").write_text(
        "dataset_type = surreal\nsubject = female\nN_sample_images = 8\nN_rand = 64\nn_iters = 150000\nloss_fn = MSE\n"
        "lrate_decay = 500\ndecay_unit = 1000\n"
    )


def _refined(scene: AvatarScene) -> PoseLayer:
    """The poses of a scene, a little changed."""
    rest, bones, roots = (
        torch.from_numpy(np.array(value)) for value in (scene.rest_pose, scene.bones, scene.kp3d[:, 0])
    )
    return PoseLayer(rest, bones + 0.05, roots - rest[0], kind="sixd")


def write_amass_like(place: Path) -> None:
    """`AMASS`, `BABEL`, `SPLIT_LISTS`, and the folders that SAGE and PoseGPT prepared."""
    spans: dict[str, dict[str, dict[str, object]]] = {"train": {}, "val": {}}
    lists: dict[str, list[str]] = {f"{subset}_{part}": [] for subset in SUBSETS for part in ("train", "test")}
    for number in range(12):
        subset, action = SUBSETS[number % 3], ACTIONS[number % 4]
        name = f"{subset}/{number:02d}/{number:02d}_01_poses.npz"
        (place / "AMASS" / name).parent.mkdir(parents=True)
        write_amass(place / "AMASS" / name, generate(action, seconds=1.5, seed=number))
        label = {"act_cat": [action], "proc_label": action, "start_t": 0.0, "end_t": 1.4}
        part = "val" if number % 4 == 3 else "train"
        spans[part][str(number)] = {"feat_p": f"{subset}/{name}", "frame_ann": {"labels": [label]}}
        lists[f"{subset}_{'test' if number >= 9 else 'train'}"].append(name)
    (place / "BABEL").mkdir()
    (place / "SPLIT_LISTS").mkdir()
    for part, content in spans.items():
        (place / "BABEL" / f"{part}.json").write_text(json.dumps(content))
    for name, lines in lists.items():
        (place / "SPLIT_LISTS" / f"{name}.txt").write_text("\n".join(lines))
    for name, write in (("dataset", seeds.sage_folder), ("FOLDER", seeds.posegpt_folder)):
        (place / name).mkdir()
        write(place / name)


def write_models(place: Path) -> None:
    """The archive of SAGE's weights at a small size (`OUTPUTS`), and an auto-encoder of PoseGPT (`a.pt`)."""
    write_archive(place / "OUTPUTS")
    state = filled(vqvae_shapes())
    state |= {f"encoder_stacks.0.blocks.{n}.attn.mask": torch.ones(1, 1, 64, 64).tril() for n in range(2)}
    torch.save({"epoch": 1, "iter": 2, "model_state_dict": state}, place / "a.pt")
    write_smplx(place / "body_models" / "smplx" / "SMPLX_NEUTRAL.npz")


def write_smplx(path: Path, vertices: int = 80) -> None:
    """A body file of the family that PoseGPT's weights are of, with noise for a surface."""
    random, joints = np.random.default_rng(0), SMPLX55.num_joints
    skin, regressor = random.random((vertices, joints)) + 0.1, random.random((joints, vertices))
    path.parent.mkdir(parents=True)
    np.savez(
        path,
        v_template=random.normal(size=(vertices, 3)),
        shapedirs=random.normal(size=(vertices, 3, 10)),
        posedirs=random.normal(size=(vertices, 3, 9 * (joints - 1))),
        J_regressor=regressor / regressor.sum(1, keepdims=True),
        weights=skin / skin.sum(1, keepdims=True),
        kintree_table=np.array([[2**32 - 1, *SMPLX55.parents[1:]], range(joints)], np.uint32),
        f=np.array([[0, 1, 2], [1, 2, 3]], np.uint32),
    )


def write_inputs(place: Path) -> None:
    """The app's log, motion, and SCAIL-Pose's folder `clip`."""
    seeds.quest(place)
    (place / "log.txt").rename(place / "LOG.txt")
    write_motion(place / "MOTION.pkl", generate("walk", seconds=0.5))
    Image.new("RGB", (8, 4), "orange").save(place / "TEXTURE.png")
    write_amass(place / "clip.npz", generate("walk", seconds=1.0, fps=30))
    examples: Examples = make_examples(place / "examples", seconds=0.5)
    (place / "clip").mkdir()
    (place / "clip" / "driving.mp4").write_bytes(Path(examples.videos[0]).read_bytes())
    (place / "clip" / "ref_image.png").write_bytes(Path(examples.images[0]).read_bytes())
