"""Poses of any motion store on a body in several shapes: one topology, hence exact truth for every transfer.

The identities are shapes of one body and, as another connectivity with known truth, remeshed copies of some of them:
decimated, subdivided, with holes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree

from contrapposto.body import BodyModel, load_body, named_shapes
from contrapposto.body.proportions import proportioned, random_proportions
from contrapposto.data.store import MotionStore
from contrapposto.errors import ConfigError, InputError, MissingError, nearest
from contrapposto.files import sha256
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.remesh import cut_holes, decimate, subdivide
from contrapposto.rotations import axis_angle_to_matrix
from contrapposto.systems.npr.data.mesh_store import Identity, Origin
from contrapposto.systems.npr.data.prepare import Plan, Progress

AVERAGE = "average"
_NEAR = 0.03  # metres: poses whose joints are nearer on average count as the same
_BODY_JOINTS = 22


def plan(
    raw: Path | None,
    *,
    motion: str = "stores/demo",
    poses: int = 150,
    shapes: Sequence[str] = (AVERAGE, "female", "male", "child", "heavy", "thin", "strong"),
    random_shapes: int = 0,
    shape_deviation: float = 1.0,
    figurines: int = 0,
    remeshed: Sequence[str] = ("decimated-heavy", "subdivided-child", "holes-male"),
    num_faces: int = 2000,
    body: str | None = None,
    include: str | None = None,
    seed: int = 0,
) -> Plan:
    """See the module.

    Args:
        raw: a motion store; `motion` where absent.
        motion: the motion store whose poses are taken; the demo store is made where it is missing.
        poses: how many, from as many different clips as can be; fewer where the motion has not so many different ones.
        shapes: names of shapes of the shipped body; `average` is that of zero coefficients.
        random_shapes: further ones with normal coefficients of `shape_deviation` (the paper's 40 SMPL targets have 1
            and 2.5).
        figurines: bodies of random shape and unusual proportions (`body.proportions`): for targets that are no people.
        remeshed: `decimated-SHAPE`, `subdivided-SHAPE`, `holes-SHAPE`.
        num_faces: triangles are merged to about so many; 0 takes the body as it is.
        body: file of a body in place of the shipped one.
        include: pattern of clip names.
        seed: of the choice of poses, random shapes and holes.
    """
    store = motion_store(Path(motion) if raw is None else raw, raw is None)
    known = {AVERAGE: np.zeros(1), **({} if body else named_shapes())}
    for name in (*shapes, *(_split(copy)[1] for copy in remeshed)):
        if name not in known:
            raise ConfigError(
                f"The body has no shape {name!r}.",
                expected=", ".join(known),
                fix=f"try {nearest(name, known)}",
            )
    options = {
        **{"poses": poses, "shapes": list(shapes), "random_shapes": random_shapes, "seed": seed},
        **{"shape_deviation": shape_deviation, "figurines": figurines, "remeshed": list(remeshed)},
        "num_faces": num_faces,
        **{"body": sha256(Path(body)) if body else None, "include": include},
    }
    figure = "a body file of the user's" if body else "the shipped body (CC0-1.0)"
    manifest = store.manifest
    origin = Origin(
        recipe="smpl_poses",
        source=f"{manifest['source']}; posed on {figure}",
        licence=str(manifest["licence"]),
        attribution=str(manifest["attribution"]),
        options=options,
        input_hash=store.content_hash,
    )

    def make(progress: Progress | None) -> Sequence[Identity]:
        model = load_body("smplh", path=body)
        generator = np.random.default_rng(seed)
        rotations, names, groups = _choose(store, model, poses, include, generator)
        chosen = {name: known[name] for name in dict.fromkeys((*shapes, *(_split(r)[1] for r in remeshed)))}
        for number in range(random_shapes):
            betas = generator.standard_normal(model.num_betas)
            chosen[f"random{number:02d}"] = np.asarray(shape_deviation * betas)
        bodies = {name: (model, betas) for name, betas in chosen.items()}
        for number in range(figurines):
            shape = torch.as_tensor(generator.standard_normal(model.num_betas), dtype=torch.float32)
            figurine = proportioned(model, random_proportions(generator), shape)
            bodies[f"figurine{number:02d}"] = (figurine, np.zeros(1))
        return _identities(bodies, rotations, names, groups, remeshed, num_faces, generator, progress)

    return Plan(origin, make)


def motion_store(path: Path, may_make: bool) -> MotionStore:
    """The motion store in a folder; with `may_make`, the demo store is made where it is missing.

    Raises:
        MissingError: there is none.
    """
    if not (path / "manifest.json").is_file():
        if path.name != "demo" or not may_make:
            raise MissingError(f"There is no motion store at {path}.", fix="python prepare.py data=demo")
        from contrapposto.data.prepare import prepare

        print(f"The poses come from the demo motion, which is made first: {path}", flush=True)
        prepare("demo", output=path)
    return MotionStore.open(path)


def _choose(
    store: MotionStore, body: BodyModel, count: int, include: str | None, generator: np.random.Generator
) -> tuple[torch.Tensor, list[str], list[str]]:
    """Rotations (N, J, 3, 3) without those of the root, names, and clips: frames of clips in turn, no two alike."""
    from fnmatch import fnmatch

    clips = [i for i, clip in enumerate(store.clips) if include is None or fnmatch(clip.name, include)]
    if not clips:
        raise InputError(f"No clip of {store.path} is called {include}.")
    kept: list[np.ndarray] = []
    places: list[np.ndarray] = []
    names: list[str] = []
    groups: list[str] = []
    tries = 0
    order = generator.permutation(clips)
    while len(kept) < count and tries < max(20 * count, 2 * len(clips)):
        clip = int(order[tries % len(order)])
        tries += 1
        frame = int(generator.integers(store.clips[clip].frames))
        vectors = np.array(store.array("rotations")[store.offsets[clip] + frame])
        vectors[0] = 0
        rotations = axis_angle_to_matrix(torch.from_numpy(vectors))[None]
        joints = body.joints(rotations, None)[0, :_BODY_JOINTS].numpy()
        name = f"{store.clips[clip].name}#{frame}"
        if name in names or any(np.linalg.norm(joints - other, axis=1).mean() < _NEAR for other in places):
            continue
        kept.append(vectors)
        places.append(joints)
        names.append(name)
        groups.append(store.clips[clip].name)
    return axis_angle_to_matrix(torch.from_numpy(np.stack(kept))), names, groups


def _identities(
    shapes: Mapping[str, tuple[BodyModel, np.ndarray]],
    rotations: torch.Tensor,
    names: list[str],
    groups: list[str],
    remeshed: Sequence[str],
    num_faces: int,
    generator: np.random.Generator,
    progress: Progress | None,
) -> list[Identity]:
    rests = {name: _rest(*shape) for name, shape in shapes.items()}
    first = next(iter(rests.values()))
    common = _reduced(first, num_faces)
    identities: list[Identity] = []
    for number, (name, shape) in enumerate(shapes.items()):
        full = _posed(*shape, rotations)
        identities.append(_ridden(name, rests[name], full, common, names, groups))
        for kind in (copy for copy in remeshed if _split(copy)[1] == name):
            identities.append(_copy(kind, rests[name], full, common, names, groups, generator))
        if progress:
            progress("shapes", number + 1, len(shapes))
    order = {name: place for place, name in enumerate((*shapes, *remeshed))}
    return sorted(identities, key=lambda identity: order[identity.name])


def _rest(body: BodyModel, betas: np.ndarray) -> MeshAsset:
    with torch.no_grad():
        vertices = body.rest_vertices(torch.as_tensor(betas, dtype=torch.float32)[None])[0]
    return MeshAsset(vertices.double().numpy(), body.faces.numpy())


def _posed(body: BodyModel, betas: np.ndarray, rotations: torch.Tensor) -> np.ndarray:
    """(N, V, 3) of all vertices, in the frame of the rest pose (y up)."""
    shape = torch.as_tensor(betas, dtype=torch.float32)
    with torch.no_grad():
        parts = [body(chunk, None, shape).vertices for chunk in rotations.float().split(32)]
    return torch.cat(parts).numpy()


def _reduced(mesh: MeshAsset, num_faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of a mesh, and faces among them, of about `num_faces`: a decimation that moves no vertex.

    The vertices of the decimated mesh are put to the nearest of the full one, so that the poses of the full mesh give
    those of the reduced one exactly.
    """
    if not num_faces or num_faces >= len(mesh.faces):
        return np.arange(len(mesh.vertices)), mesh.faces
    small = decimate(mesh, num_faces)
    snapped = cKDTree(mesh.vertices).query(small.vertices)[1][small.faces]
    distinct = (snapped != np.roll(snapped, 1, axis=1)).all(axis=1)
    snapped = snapped[distinct]
    snapped = snapped[np.unique(np.sort(snapped, axis=1), axis=0, return_index=True)[1]]
    used, faces = np.unique(snapped, return_inverse=True)
    return used, faces.reshape(-1, 3)


def _ridden(
    name: str,
    rest: MeshAsset,
    full: np.ndarray,
    surface: tuple[np.ndarray, np.ndarray],
    names: list[str],
    groups: list[str],
    copy_of: str | None = None,
) -> Identity:
    vertices, faces = surface
    mesh = MeshAsset(rest.vertices[vertices], faces, name=name)
    return Identity(name, mesh, full[:, vertices], names, groups, copy_of)


def _copy(
    kind: str,
    rest: MeshAsset,
    full: np.ndarray,
    common: tuple[np.ndarray, np.ndarray],
    names: list[str],
    groups: list[str],
    generator: np.random.Generator,
) -> Identity:
    how, shape = _split(kind)
    if how == "decimated":
        surface = _reduced(rest, max(6 * len(common[1]) // 10, 200))
        return _ridden(kind, rest, full, surface, names, groups, shape)
    base = _ridden(kind, rest, full, common, names, groups, shape)
    if how == "subdivided":
        fine = [subdivide(base.mesh.moved(pose)).vertices for pose in base.poses]
        return Identity(kind, subdivide(base.mesh), np.stack(fine), names, groups, shape)
    cut = cut_holes(base.mesh, 6, 0.02, generator)
    used, faces = np.unique(cut.faces, return_inverse=True)
    mesh = MeshAsset(base.mesh.vertices[used], faces.reshape(-1, 3))
    return Identity(kind, mesh, base.poses[:, used], names, groups, shape)


def _split(kind: str) -> tuple[str, str]:
    how, dash, shape = kind.partition("-")
    if how not in ("decimated", "subdivided", "holes") or not dash:
        raise ConfigError(
            f"There is no copy {kind!r}.", expected="decimated-SHAPE, subdivided-SHAPE or holes-SHAPE"
        )
    return how, shape
