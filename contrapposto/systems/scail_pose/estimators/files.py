"""Networks that a user may bring: YOLOX, DWPose, NLF (docs/specs/scail_pose.md, sections 2 to 5 and 12).

An ONNX file is a list of operations that ONNX Runtime carries out. A TorchScript file is a program: PyTorch runs it
in its own interpreter, without Python, but it is code all the same and should come from where `weights.yaml` states.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrapposto.errors import InputError, MissingError
from contrapposto.onnx_files import open_onnx
from contrapposto.systems.scail_pose.detection import letterbox, person_boxes
from contrapposto.systems.scail_pose.interface import NUM_JOINTS, Person
from contrapposto.systems.scail_pose.preprocess import whole_body_crop
from contrapposto.systems.scail_pose.wholebody import SPLIT_RATIO, decode_simcc, to_image, to_openpose_order

_COCO_WHOLE_BODY = 133
_YOLOX_SHAPE = (1, 8400, 85)


class YoloxDetector:
    """People by a YOLOX network (ONNX) with 80 classes, input 640 x 640.

    Raises:
        InputError: another network. MissingError: no ONNX Runtime.
    """

    def __init__(self, path: str | Path, *, threads: int = 1, least_score: float = 0.3) -> None:
        self._session, self.least_score = open_onnx(path, threads=threads, gpu=True), least_score
        self._input = self._session.get_inputs()[0].name
        shape = self._run(np.zeros((3, 640, 640), np.float32)).shape
        if shape != _YOLOX_SHAPE:
            raise _not_the(path, "YOLOX", f"output {shape}", f"output {_YOLOX_SHAPE}")

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, 3) uint8 RGB to boxes (n, 4) xyxy pixels and scores (n,), best first."""
        canvas, ratio = letterbox(image[..., ::-1])
        return person_boxes(self._run(canvas), ratio, self.least_score)

    def _run(self, canvas: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(self._session.run(None, {self._input: canvas[None]})[0])
        except Exception as error:  # ONNX Runtime raises classes of its own, without a common base
            raise InputError(
                "The detector cannot be run.", found=str(error).splitlines()[0], expected="YOLOX at 640 x 640"
            ) from error


class DwposeKeypoints:
    """Keypoints by a DWPose or RTMPose network (ONNX) with SimCC outputs.

    Raises:
        InputError: another network. MissingError: no ONNX Runtime.
    """

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        self._session = open_onnx(path, threads=threads, gpu=True)
        entry = self._session.get_inputs()[0]
        self._input, shape = entry.name, entry.shape
        if len(shape) != 4 or not all(isinstance(length, int) for length in shape[2:]):
            raise _not_the(path, "DWPose", f"input {shape}", "input (1, 3, h, w)")
        self.size = (int(shape[3]), int(shape[2]))
        bins = [tuple(np.shape(v)) for v in self._run(np.zeros((1, 3, *shape[2:]), np.float32))]
        expected = [(1, _COCO_WHOLE_BODY, int(SPLIT_RATIO * length)) for length in self.size]
        if bins[:2] != expected:
            raise _not_the(path, "DWPose", f"outputs {bins}", f"outputs {expected}")

    def estimate(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints (n, 134, 2) pixels and scores (n, 134) of the people in boxes (n, 4) of an RGB image."""
        points = np.zeros((len(boxes), _COCO_WHOLE_BODY, 2))
        scores = np.zeros((len(boxes), _COCO_WHOLE_BODY), np.float32)
        for row, box in enumerate(boxes):
            seen, center, scale = whole_body_crop(np.ascontiguousarray(image[..., ::-1]), box, self.size)
            planes = seen.transpose(2, 0, 1)[None].astype(np.float32)
            places, scores[row : row + 1] = decode_simcc(*self._run(planes)[:2])
            points[row] = to_image(places, center[None], scale[None], self.size)[0]
        points, scores = to_openpose_order(points, scores)
        return points.astype(np.float32), np.clip(scores, 0, 1)

    def _run(self, planes: np.ndarray) -> list[np.ndarray]:
        return list(self._session.run(None, {self._input: planes}))


class NlfBody:
    """Joints in space by NLF (TorchScript).

    Args:
        path: of the file.
        masked: as the original calls it: an image for each box, black outside of it, in which NLF's own detector
            searches again (needs CUDA); otherwise the boxes are given to NLF.
        device: where it runs.

    Raises:
        InputError: another file. MissingError: torchvision, whose operations the file uses, is not installed.
    """

    def __init__(
        self, path: str | Path, *, masked: bool = False, device: str | torch.device = "cpu", batch: int = 64
    ) -> None:
        try:
            import torchvision  # noqa: F401  (registers the operation nms)
        except ImportError as error:
            raise MissingError("NLF needs torchvision.", fix="pip install torchvision") from error
        self.masked, self.device, self.batch = masked, torch.device(device), batch
        method = "detect_smpl_batched" if masked else "estimate_smpl_batched"
        try:
            program = torch.jit.load(str(path), map_location=self.device).eval()
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise _not_the(path, "NLF", reason, "a TorchScript file") from error
        if not hasattr(program, method):
            raise _not_the(path, "NLF", f"no method {method}", "nlf_l_multi_0.3.2.torchscript")
        self._call = getattr(program, method)

    @torch.inference_mode()
    def estimate(
        self, frames: Sequence[np.ndarray], people: Sequence[Sequence[Person]], intrinsics: np.ndarray
    ) -> list[np.ndarray]:
        """Joints (n, 24, 3) of the n people of each frame (see `Body3D`)."""
        places = [(f, number) for f, here in enumerate(people) for number in range(len(here))]
        joints = [np.full((len(here), NUM_JOINTS, 3), np.nan, np.float32) for here in people]
        if self.masked:
            images = [_only_box(frames[f], people[f][number].box) for f, number in places]
            for (f, number), lifted in zip(places, self._in_batches(images, None, intrinsics)):
                if len(lifted):
                    joints[f][number] = lifted[0]
            return joints
        busy = [f for f, here in enumerate(people) if here]
        boxes = [np.stack([person.box for person in people[f]]) for f in busy]
        for f, lifted in zip(busy, self._in_batches([frames[f] for f in busy], boxes, intrinsics)):
            joints[f] = lifted
        return joints

    def _in_batches(
        self, images: list[np.ndarray], boxes: list[np.ndarray] | None, intrinsics: np.ndarray
    ) -> list[np.ndarray]:
        joints: list[np.ndarray] = []
        for start in range(0, len(images), self.batch):
            part = np.stack(images[start : start + self.batch])
            arguments: list[Any] = [torch.from_numpy(part).permute(0, 3, 1, 2).to(self.device)]
            if boxes is not None:
                arguments.append([self._corner_and_size(b) for b in boxes[start : start + self.batch]])
            camera = torch.from_numpy(np.asarray(intrinsics, np.float32)).to(self.device)
            answer = self._call(*arguments, intrinsic_matrix=camera.expand(len(part), 3, 3))
            if "joints3d_nonparam" not in answer:
                raise InputError(
                    "NLF gave no joints.", found=", ".join(sorted(answer)), expected="joints3d_nonparam"
                )
            joints += [
                one.float().cpu().numpy().reshape(-1, NUM_JOINTS, 3) for one in answer["joints3d_nonparam"]
            ]
        return joints

    def _corner_and_size(self, boxes: np.ndarray) -> torch.Tensor:
        values = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        return torch.from_numpy(values.astype(np.float32)).to(self.device)


def _only_box(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The image, black outside of a box enlarged by 2.5 % of the width and 5 % of the height on either side."""
    height, width = image.shape[:2]
    margin = np.array([0.025 * width, 0.05 * height])
    left, top = np.maximum(np.floor(box[:2] - margin), 0).astype(int)
    right, bottom = np.minimum(np.ceil(box[2:] + margin), [width, height]).astype(int)
    seen = np.zeros_like(image)
    seen[top:bottom, left:right] = image[top:bottom, left:right]
    return seen


def _not_the(path: str | Path, name: str, text: str, expected: str) -> InputError:
    return InputError(f"{path} is not the {name} network.", found=text, expected=expected)
