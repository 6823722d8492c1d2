"""Small networks in the formats of YOLOX, DWPose and NLF that always see the same standing figure; their server."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
import yaml

from contrapposto.skeleton import SMPL24
from contrapposto.systems.scail_pose.weights import ORIGINAL, model_files
from tests.data.conftest import Server
from tests.systems.scail_pose.test_estimator_files import save_constant, save_yolox

BODY = """.50 .12  .52 .10  .48 .10  .55 .12  .45 .12  .62 .25  .38 .25  .70 .38  .30 .38  .74 .50  .26 .50
.57 .52  .43 .52  .58 .72  .42 .72  .58 .92  .42 .92  .60 .96  .62 .95  .58 .94  .40 .96  .38 .95  .42 .94"""
"""Of COCO's 17 points and 6 of the feet: right and down, as shares of the crop."""
CROP = (72, 96)


def keypoints() -> np.ndarray:
    """(133, 2) of COCO-WholeBody: body, feet, face, left and right hand."""
    body = np.array(BODY.split(), float).reshape(23, 2)
    turn = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    face = body[0] + 0.04 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    fingers = np.stack([np.tile(np.arange(-2, 3), 5)[:21] * 0.01, np.arange(21) * 0.004], axis=1)
    return np.concatenate([body, face, body[9] + fingers, body[10] + fingers])


class Standing(torch.nn.Module):
    """NLF's call with the joints of a figure at rest, four metres away, for every box."""

    def __init__(self) -> None:
        super().__init__()
        rest = torch.from_numpy(np.asarray(SMPL24.rest_positions, np.float32)) * torch.tensor(
            [1.0, -1.0, 1.0]
        )
        self.register_buffer("rest", 1000 * rest + torch.tensor([0.0, 0.0, 4000.0]))

    @torch.jit.export
    def estimate_smpl_batched(
        self, images: torch.Tensor, boxes: list[torch.Tensor], intrinsic_matrix: torch.Tensor
    ) -> dict[str, list[torch.Tensor]]:
        found: list[torch.Tensor] = []
        for places in boxes:
            found.append(self.rest.unsqueeze(0).repeat(len(places), 1, 1))
        return {"joints3d_nonparam": found}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


def serve_networks(folder: Path) -> tuple[Server, Path]:
    """A server that has the three files, and a catalogue that names them, for `contrapposto fetch scail-weights`."""
    folder.mkdir()
    save_yolox(folder / "yolox", [(160, 40, 480, 600, 0.9)])
    along = [np.zeros((1, 133, 2 * side), np.float32) for side in CROP]
    for axis, (values, side) in enumerate(zip(along, CROP)):
        values[0, np.arange(133), np.round(2 * side * keypoints()[:, axis]).astype(int)] = 0.9
    save_constant(folder / "dwpose", (1, 3, CROP[1], CROP[0]), along)
    torch.jit.script(Standing()).save(str(folder / "nlf"))
    server, content = Server(folder), {}
    for name in ORIGINAL:
        file = model_files()[name]
        data = (folder / name).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        content[name] = {**vars(file), "url": f"{server.url}/{name}", "sha256": digest, "bytes": len(data)}
    catalogue = folder / "weights.yaml"
    catalogue.write_text(yaml.safe_dump(content, sort_keys=False))
    return server, catalogue
