"""Triangle meshes: files, cleaning, operators, the Poisson layer, neighbours, sampling."""

from contrapposto.mesh.anime import read_anime
from contrapposto.mesh.asset import Material, MeshAsset
from contrapposto.mesh.clean import CleanMesh, CleanReport, clean_mesh
from contrapposto.mesh.files import read_mesh, write_mesh
from contrapposto.mesh.gltf_write import write_mesh_glb
from contrapposto.mesh.parts import PartPlacement
from contrapposto.mesh.poisson import PoissonSolver
from contrapposto.mesh.remesh import cut_holes, decimate, subdivide
from contrapposto.mesh.rigged import RiggedMesh
from contrapposto.mesh.template import Template

__all__ = [
    "CleanMesh",
    "CleanReport",
    "Material",
    "MeshAsset",
    "PartPlacement",
    "PoissonSolver",
    "RiggedMesh",
    "Template",
    "clean_mesh",
    "cut_holes",
    "decimate",
    "read_anime",
    "read_mesh",
    "subdivide",
    "write_mesh",
    "write_mesh_glb",
]
