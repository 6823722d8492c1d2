"""Makes the small trained models that ship: python contrapposto/assets/zoo/build.py MOTION

Trains what is missing in runs/ and publishes it into this folder. All data is the shipped motion, synthetic motion, images
and meshes of the shipped body, and the folder MOTION: clips of CMU and DeepMimic in AMASS layout with index.csv.
"""

import json
import subprocess
import sys
from pathlib import Path

ZOO = Path(__file__).parent
COMMANDS = """
prepare.py data=demo
train.py pipeline=sage experiment=sage_demo
train.py model=sage_student experiment=sage_demo
prepare.py data=free raw=MOTION
train.py pipeline=posegpt data=free experiment=posegpt_free
prepare.py data=open_motion raw=MOTION
train.py model=tracker data=open_motion experiment=sage_open
train.py model=sparse_transformer data=open_motion experiment=sage_open
train.py pipeline=sage data=open_motion experiment=sage_open CHOICES
prepare.py data=smpl_poses
train.py model=npr experiment=npr_demo
train.py model=npr_keypoint_diffusion experiment=npr_demo NARROW data.steps_per_epoch=100
train.py model=npr_feature_diffusion experiment=npr_demo NARROW data.steps_per_epoch=80
prepare.py data=amass raw=MOTION data.name=free_motion
prepare.py data=smpl_poses raw=stores/free_motion data.name=npr_free BODIES
train.py model=npr_residual experiment=npr_free
prepare.py data=smpl_poses raw=stores/free_motion data.name=npr_poses data.options.poses=3000 data.options.num_faces=1000
train.py model=npr_residual_diffusion experiment=npr_poses
prepare.py data=anerf_scene
train.py model=anerf_splat
train.py pipeline=anerf experiment=anerf_demo
"""
# The diffusions are narrower than those of npr_demo (FID 76 in place of 70), so that they fit.
NETWORK = "module.network={width:96,layers:4,time_width:32,time_input:step}"
NARROW = f"{NETWORK} module.learning_rate=1.5e-3 data.max_val_poses=8"
# The bodies of configs/experiment/npr_free.yaml.
BODIES = (
    "data.options.poses=600 data.options.num_faces=1000 data.options.random_shapes=16 "
    "data.options.shape_deviation=1.5 data.options.figurines=6"
)
# What helps SAGE on this data (docs/open_protocol.md). The shipped stages had more time: callbacks.budget.seconds=240 to 400.
CHOICES = (
    "sage.autoencoder=conv sage.latents=continuous sage.supervise=all_frames sage.frame=heading "
    "sage.prior=regression"
)
SMALL = ("posegpt_gpt", "sage_refiner", "npr_residual_diffusion")  # in 8 bits; the others are small enough
MODELS = [
    ("anerf_splat", None),
    ("sage_student", "sage_demo"),
    ("tracker", "sage_open_free"),
    ("sparse_transformer", "sage_open_free"),
    ("sage_refiner", "sage_open_free"),
    ("posegpt_gpt", "posegpt_free"),
    ("npr_feature_diffusion", "npr_demo"),  # holds `npr` too
    ("npr_residual", "npr_free"),
    ("npr_residual_diffusion", "npr_poses"),
    ("anerf", "anerf_demo"),
]


def newest(model: str, experiment: str | None) -> Path:
    """The newest finished run of a model in an experiment."""
    results = sorted(Path("runs", model).glob("*/result.json"))
    fitting = [file for file in results if json.loads(file.read_text())["experiment"] == experiment]
    return fitting[-1].parent


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for command in COMMANDS.replace("MOTION", sys.argv[1]).strip().splitlines():
        command = command.replace("NARROW", NARROW).replace("BODIES", BODIES).replace("CHOICES", CHOICES)
        subprocess.run([sys.executable, *command.split()], check=True)
    for model in MODELS:
        bits = "bits=8" if model[0] in SMALL else "bits=16"
        publish = [
            sys.executable,
            "-m",
            "contrapposto",
            "publish",
            str(newest(*model)),
            f"output={ZOO}",
            bits,
        ]
        subprocess.run(publish, check=True)
