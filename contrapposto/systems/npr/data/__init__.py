"""Mesh stores from what people have: posed bodies, folders of meshes, animated files. `prepare_meshes` makes them."""

from contrapposto.systems.npr.data.prepare import MESH_RECIPES, MeshReport, prepare_meshes

__all__ = ["MESH_RECIPES", "MeshReport", "prepare_meshes"]
