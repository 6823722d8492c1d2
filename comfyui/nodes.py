"""The nodes. ComfyUI's IMAGE is a tensor (B, H, W, 3) in [0, 1], its MASK (B, H, W); SCAIL_PEOPLE is a `People`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapposto.errors import InputError
from contrapposto.systems.scail_pose.clean import Clean
from contrapposto.systems.scail_pose.exports import EXPORTS, write_exports
from contrapposto.systems.scail_pose.extract import extract
from contrapposto.systems.scail_pose.extractor import PoseExtractor
from contrapposto.systems.scail_pose.flat import with_limbs
from contrapposto.systems.scail_pose.interchange import (
    clip_of_nlfpred,
    read_clip_people,
    write_nlfpred,
    write_people,
)
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.matching import align_clip, match_people
from contrapposto.systems.scail_pose.outputs import id_image, reference_image
from contrapposto.systems.scail_pose.people import CHOICES, ClipPoses, choose_people
from contrapposto.systems.scail_pose.pipeline import ClipDrawer, Look
from contrapposto.systems.scail_pose.proportions import reshape_clip
from contrapposto.systems.scail_pose.reference import MODES, Alignment, AlignOptions
from contrapposto.systems.scail_pose.reference_people import reference_people
from contrapposto.systems.scail_pose.sides import steady_sides

CATEGORY = "SCAIL-Pose (Contrapposto)"
FORMATS = ("npz", "nlfpred", *EXPORTS)
_NLF_KEY = "joints3d_nonparam"
_extractors: dict[tuple[str, str, bool, bool], PoseExtractor] = {}


@dataclass(frozen=True, eq=False)
class People:
    """What flows between the nodes.

    Attributes:
        clip: everybody who is drawn.
        alignments: cameras by the person's id, see `align_clip`.
        characters: people of the reference by the ids of those who drive them.
    """

    clip: ClipPoses
    alignments: Mapping[int, Alignment] = field(default_factory=dict)
    characters: Mapping[int, Person] = field(default_factory=dict)


class PeopleFromVideo:
    """Frames of a video to people in 3D."""

    CATEGORY, FUNCTION = CATEGORY, "find"
    RETURN_TYPES, RETURN_NAMES = ("SCAIL_PEOPLE", "STRING"), ("people", "report")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """See ComfyUI."""
        return {
            "required": {
                "images": ("IMAGE",),
                "fps": ("FLOAT", {"default": 16.0, "min": 1.0, "max": 120.0}),
                "networks": (["blazepose", "auto", "files"], {"default": "auto"}),
                "people": (list(CHOICES), {"default": "all"}),
                "hands": ("BOOLEAN", {"default": True}),
                "face": ("BOOLEAN", {"default": True}),
                "smooth": ("BOOLEAN", {"default": True}),
            },
            "optional": {"weights": ("STRING", {"default": "pretrained_weights"})},
        }

    def find(
        self,
        images: Tensor,
        fps: float,
        networks: str,
        people: str,
        hands: bool,
        face: bool,
        smooth: bool,
        weights: str = "pretrained_weights",
    ) -> tuple[People, str]:
        """People of the frames, all of one size."""
        estimator = _extractor(networks, weights, hands, face).estimator
        frames = ((number / fps, _frame(image)) for number, image in enumerate(images))
        clip, changed = steady_sides(extract(frames, estimator, images.shape[1], images.shape[2], fps))
        clip = Clean()(clip) if smooth else clip
        clip = clip.only(choose_people(clip, people))
        if not clip.ids:
            raise InputError("There is nobody in these frames.", found=f"{len(images)} frames")
        return People(
            clip
        ), f"{len(clip.ids)} people; left and right exchanged in {sum(changed.values())} frames"


class PeopleFromNLF:
    """Joints of another node pack (NLFPRED) to people; nested in batches or not."""

    CATEGORY, FUNCTION = CATEGORY, "read"
    RETURN_TYPES, RETURN_NAMES = ("SCAIL_PEOPLE",), ("people",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """See ComfyUI."""
        size = ("INT", {"default": 512, "min": 2, "max": 4096})
        fps = ("FLOAT", {"default": 16.0, "min": 1.0, "max": 120.0})
        return {"required": {"nlf": ("NLFPRED",), "width": size, "height": size, "fps": fps}}

    def read(self, nlf: Any, width: int, height: int, fps: float) -> tuple[People]:
        """People of a clip of this size."""
        joints = nlf.get(_NLF_KEY) if isinstance(nlf, Mapping) else nlf
        if not isinstance(joints, (Tensor, np.ndarray, Sequence)) or isinstance(joints, str):
            keys = f" with {', '.join(map(str, nlf))}" if isinstance(nlf, Mapping) else ""
            raise InputError(
                "This is no NLFPRED.",
                found=f"{type(nlf).__name__}{keys}",
                expected=f"joints, or an object with {_NLF_KEY}",
            )
        return (People(clip_of_nlfpred(_plain(joints), height, width, fps)),)


class PeopleFromFile:
    """motion.npz of an earlier run, NLFPRED, pose dicts, or OpenPose's files to people."""

    CATEGORY, FUNCTION = CATEGORY, "read"
    RETURN_TYPES, RETURN_NAMES = ("SCAIL_PEOPLE", "STRING"), ("people", "report")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """See ComfyUI."""
        size = ("INT", {"default": 512, "min": 2, "max": 4096})
        return {"required": {"path": ("STRING", {"default": ""}), "width": size, "height": size}}

    def read(self, path: str, width: int, height: int) -> tuple[People, str]:
        """People of a file; the size counts where the file states none."""
        clip, warnings = with_limbs(read_clip_people(path, height, width))
        return People(clip), "; ".join(warnings)


class Retarget:
    """The camera, and if wished the lengths of the bones, of the people of a reference image."""

    CATEGORY, FUNCTION = CATEGORY, "retarget"
    RETURN_TYPES, RETURN_NAMES = ("SCAIL_PEOPLE", "STRING"), ("people", "report")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """See ComfyUI."""
        return {
            "required": {
                "people": ("SCAIL_PEOPLE",),
                "reference": ("IMAGE",),
                "mode": (list(MODES), {"default": "auto"}),
                "bones": ("BOOLEAN", {"default": False}),
                "fit": (["cover", "pad"], {"default": "cover"}),
            }
        }

    def retarget(
        self, people: People, reference: Tensor, mode: str, bones: bool, fit: str
    ) -> tuple[People, str]:
        """People with the cameras that lay them over those of the reference."""
        clip, estimator = people.clip, _extractor("blazepose", "", True, True).estimator
        seen = reference_people(_frame(reference[0]), estimator, clip.height, clip.width, fit)
        characters = match_people(clip, seen)
        if bones:
            clip, _ = reshape_clip(clip, characters)
        alignments, warnings = align_clip(clip, characters, AlignOptions(mode=mode))
        words = [
            f"person {number}: {one.before:.0f} to {one.after:.0f} pixels"
            for number, one in alignments.items()
        ]
        return People(clip, alignments, characters), "; ".join(words + warnings)


class DrawPoses:
    """People to the frames of the pose video."""

    CATEGORY, FUNCTION = CATEGORY, "draw"
    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "MASK"), ("frames", "mask")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """See ComfyUI."""
        return {
            "required": {
                "people": ("SCAIL_PEOPLE",),
                "hands": ("BOOLEAN", {"default": True}),
                "face": ("BOOLEAN", {"default": True}),
                "cheeks": ("BOOLEAN", {"default": True}),
                "hand_scale": ("FLOAT", {"default": 1.0, "min": 0.1, "max": 10.0, "step": 0.05}),
                "threshold": ("FLOAT", {"default": 0.3, "min": 0.0, "max": 1.0, "step": 0.05}),
                "samples": ("INT", {"default": 1, "min": 1, "max": 4}),
            },
            "optional": {"remove": ("STRING", {"default": ""})},
        }

    def draw(
        self,
        people: People,
        hands: bool,
        face: bool,
        cheeks: bool,
        hand_scale: float,
        threshold: float,
        samples: int,
        remove: str = "",
    ) -> tuple[Tensor, Tensor]:
        """Frames, and where capsules are; `remove` names parts, separated by commas."""
        names = tuple(name.strip() for name in remove.split(",") if name.strip())
        look = Look(
            cheeks,
            hands,
            face,
            samples=samples,
            attach=True,
            hand_scale=hand_scale,
            threshold=threshold,
            remove=names,
        )
        frames = list(ClipDrawer(people.clip, look, people.alignments))
        return _images([frame.rgb for frame in frames]), _masks([frame.capsules.mask for frame in frames])


class Scail2Masks:
    """What SCAIL-2 reads besides the pose video: a colour for each person, in the clip and in the reference."""

    CATEGORY, FUNCTION = CATEGORY, "draw"
    RETURN_TYPES = ("IMAGE", "IMAGE", "MASK")
    RETURN_NAMES = ("id_frames", "reference_mask", "replace_mask")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """See ComfyUI."""
        grow = ("INT", {"default": 24, "min": 0, "max": 256})
        return {"required": {"people": ("SCAIL_PEOPLE",), "grow": grow}}

    def draw(self, people: People, grow: int) -> tuple[Tensor, Tensor, Tensor]:
        """Coloured capsules of the clip and of the reference (black if there is none).

        `replace_mask`: where the driving people are in the driving video, enlarged by `grow` pixels, for a character
        that takes their place.
        """
        clip, count = people.clip, len(people.clip.ids)
        drawings = [frame.capsules for frame in ClipDrawer(clip, alignments=people.alignments)]
        if people.characters:
            reference = reference_image(clip, people.characters)
        else:
            reference = np.zeros((clip.height, clip.width, 3), np.uint8)
        driving = (
            [frame.capsules.mask for frame in ClipDrawer(clip)]
            if people.alignments
            else [d.mask for d in drawings]
        )
        replaced = [_grown(mask, grow) for mask in driving]
        return _images([id_image(one, count) for one in drawings]), _images([reference]), _masks(replaced)


class SavePeople:
    """People as files in ComfyUI's output folder: npz, NLFPRED, GLB of figures or capsules, BVH."""

    CATEGORY, FUNCTION, OUTPUT_NODE = CATEGORY, "save", True
    RETURN_TYPES, RETURN_NAMES = ("STRING",), ("paths",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """See ComfyUI."""
        name = ("STRING", {"default": "scail_pose"})
        return {
            "required": {
                "people": ("SCAIL_PEOPLE",),
                "name": name,
                "format": (list(FORMATS), {"default": "npz"}),
            }
        }

    def save(self, people: People, name: str, format: str) -> dict[str, Any]:
        """Write into a new folder `<name>_00001` and so on; returns the paths, one a line."""
        folder = _new_folder(_output_folder(), name)
        if format == "npz":
            paths = [write_people(folder / "motion.npz", people.clip)]
        elif format == "nlfpred":
            paths = [write_nlfpred(folder / "nlfpred.json", people.clip)]
        else:
            paths = write_exports(folder, people.clip, (format,))
        text = "\n".join(str(path) for path in paths)
        return {"ui": {"text": [text]}, "result": (text,)}


def _extractor(networks: str, weights: str, hands: bool, face: bool) -> PoseExtractor:
    key = networks, weights, hands, face
    if key not in _extractors:
        options: dict[str, Any] = {"weights": weights} if weights else {}
        _extractors[key] = PoseExtractor.from_pretrained(networks, hands=hands, face=face, **options)
    return _extractors[key]


def _frame(image: Tensor) -> np.ndarray:
    """(H, W, C) in [0, 1] as (H, W, 3) uint8; an alpha channel is laid over white."""
    values = image.detach().cpu().float().numpy()
    if values.ndim != 3 or values.shape[-1] not in (3, 4):
        raise InputError("An image", found=f"shape {values.shape}", expected="(H, W, 3)")
    if values.shape[-1] == 4:
        values = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    return np.asarray((values * 255).round().clip(0, 255).astype(np.uint8))


def _images(frames: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(frames)).float() / 255


def _masks(masks: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(masks)).float()


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    import cv2

    if not pixels:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0)


def _plain(nested: Any) -> Any:
    """Tensors and arrays inside of lists as lists."""
    if isinstance(nested, Tensor):
        return nested.detach().cpu().tolist()
    if isinstance(nested, np.ndarray):
        return nested.tolist()
    return [_plain(one) for one in nested] if isinstance(nested, Sequence) else nested


def _output_folder() -> Path:
    try:
        import folder_paths  # of ComfyUI
    except ImportError:
        return Path("output")
    return Path(folder_paths.get_output_directory())


def _new_folder(parent: Path, name: str) -> Path:
    """A folder that does not exist yet; names cannot lead out of `parent`."""
    stem = "".join(c if c.isalnum() or c in "-_ " else "_" for c in name).strip() or "scail_pose"
    number = 1
    while (parent / f"{stem}_{number:05d}").exists():
        number += 1
    folder = parent / f"{stem}_{number:05d}"
    folder.mkdir(parents=True)
    return folder


NODE_CLASS_MAPPINGS = {
    "ContrappostoPeopleFromVideo": PeopleFromVideo,
    "ContrappostoPeopleFromNLF": PeopleFromNLF,
    "ContrappostoPeopleFromFile": PeopleFromFile,
    "ContrappostoRetarget": Retarget,
    "ContrappostoDrawPoses": DrawPoses,
    "ContrappostoScail2Masks": Scail2Masks,
    "ContrappostoSavePeople": SavePeople,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "ContrappostoPeopleFromVideo": "People from video frames",
    "ContrappostoPeopleFromNLF": "People from NLF",
    "ContrappostoPeopleFromFile": "People from a file",
    "ContrappostoRetarget": "Retarget people to a reference",
    "ContrappostoDrawPoses": "Draw pose video",
    "ContrappostoScail2Masks": "SCAIL-2 masks",
    "ContrappostoSavePeople": "Save people",
}
