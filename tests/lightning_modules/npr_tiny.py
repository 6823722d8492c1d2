"""A tiny mesh store with known truth, and command lines of NPR's models on it."""

import numpy as np

from contrapposto.mesh.remesh import subdivide
from contrapposto.systems.npr.data.mesh_store import Identity, Origin, write_store
from tests.mesh.shapes import bent, sphere

SHARED = (
    "data.name=bent",
    "data.steps_per_epoch=6",
    "data.test_share=0.25",
    "data.val_share=0.25",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "callbacks.media=null",
    "logger=csv",
)
NETWORK = (
    "module.network.extractor={points:[40,20],width:24,reduced:16,neighbours:8,final_blocks:1}",
    "module.network.applier={width:24,hidden:24,blocks:2}",
)
DIFFUSION = (
    "module.network={width:32,heads:2,layers:1,time_width:16}",
    "module.schedule={num_steps:20,first_beta:1e-3,last_beta:0.3}",
    "data.batch_size=4",
)
OPTIONS = {
    "npr": (*NETWORK, "data.batch_size=2", "optimizer.lr=1e-3"),
    "npr_residual": (*NETWORK, "module.network.blend_points=60"),
    "npr_vertices": NETWORK,
    "njf": ("module.network={code:24,width:24,layers:3}", "module.jacobian_weight=0.1"),
    "npr_refiner": ("module.network={width:32,heads:2,layers:1}", "data.target=egg"),
    "npr_keypoint_diffusion": DIFFUSION,
    "npr_feature_diffusion": (DIFFUSION[0], DIFFUSION[2], "module.media_poses=2", "module.media_steps=4"),
    "npr_residual_diffusion": (
        "module.network={components:4,width:16,layers:1}",
        *DIFFUSION[1:],
        "module.media_poses=2",
        "module.media_steps=4",
    ),
}


def write_bent(folder):
    """`ball` and `egg` bent in 16 ways, and `egg-fine`, a copy of the second with more triangles."""
    amounts = np.linspace(-1, 1, 16)
    names = [f"bend{number:02d}" for number in range(16)]
    ball = sphere(2)
    meshes = {"ball": ball, "egg": ball.moved(ball.vertices * [1.0, 0.6, 0.8])}
    identities = []
    for name, mesh in meshes.items():
        poses = np.stack([bent(mesh.vertices, amount) for amount in amounts])
        identities.append(Identity(name, mesh, poses, names))
    fine = np.stack([subdivide(meshes["egg"].moved(pose)).vertices for pose in identities[1].poses])
    identities.append(Identity("egg-fine", subdivide(meshes["egg"]), fine, names, copy_of="egg"))
    return write_store(folder / "bent", identities, Origin("test", "made", "CC0-1.0"))


def tiny(model, stores, runs, *more):
    """A command line."""
    inputs = [*SHARED, *OPTIONS[model], f"paths.stores={stores}", f"paths.runs={runs}", *more]
    return [f"model={model}", *{option.partition("=")[0]: option for option in inputs}.values()]
