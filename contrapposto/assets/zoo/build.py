"""Makes the small trained models that ship: python contrapposto/assets/zoo/build.py

Trains what is missing in runs/ and publishes it into this folder. All data is the shipped motion, clips made by the
seeded generator, and pictures and meshes of the shipped body.
"""

import subprocess
import sys
from pathlib import Path

from doors.publish import publish
from doors.runs import best_run

ZOO = Path(__file__).parent
COMMANDS = """
prepare.py data=demo
train.py pipeline=sage experiment=sage_demo
train.py model=sage_student experiment=sage_demo
train.py pipeline=posegpt experiment=posegpt_demo
prepare.py data=smpl_poses
train.py model=npr experiment=npr_demo
prepare.py data=anerf_scene
train.py pipeline=anerf experiment=anerf_demo
"""
MODELS = [
    ("sage_student", "demo", "sage_demo"),
    ("posegpt_gpt", "demo", "posegpt_demo"),
    ("npr", "smpl_poses", "npr_demo"),
    ("anerf", "anerf_scene", "anerf_demo"),
]

if __name__ == "__main__":
    for command in COMMANDS.strip().splitlines():
        subprocess.run([sys.executable, *command.split()], check=True)
    for model, data, experiment in MODELS:
        print(publish(best_run("runs", model, data, experiment, shipped=False).run, ZOO))
