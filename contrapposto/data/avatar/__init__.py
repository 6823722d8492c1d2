"""One person's frames, masks, cameras and poses: the data that A-NeRF and its kin learn an avatar from."""

from contrapposto.data.avatar.rays import RayOptions, RaySampler
from contrapposto.data.avatar.scene import AvatarScene
from contrapposto.data.avatar.writing import Frame, SceneFacts, write_scene

__all__ = ["AvatarScene", "Frame", "RayOptions", "RaySampler", "SceneFacts", "write_scene"]
