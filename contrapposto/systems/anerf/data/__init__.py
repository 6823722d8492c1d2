"""One person's frames, masks, cameras and poses: the data that A-NeRF and its kin learn an avatar from."""

from contrapposto.systems.anerf.data.rays import RayOptions, RaySampler
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.data.writing import Frame, SceneMetadata, write_scene

__all__ = ["AvatarScene", "Frame", "RayOptions", "RaySampler", "SceneMetadata", "write_scene"]
