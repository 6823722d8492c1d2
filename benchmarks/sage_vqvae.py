"""Training step of SAGE's auto-encoders at batch 64."""

from __future__ import annotations

import torch

from benchmarks.measure import Row, floor_share, flops, matmul_speed, seconds
from contrapposto.body import load_body
from contrapposto.rotations import sixd_columns_to_matrix
from contrapposto.systems.sage.losses import VQLoss
from contrapposto.systems.sage.vqvae import SageVQVAE

BATCH = 64


def run(threads: int) -> list[Row]:
    """Step rate with its share of the floor, and what the losses take of it, beside losses by the full mesh."""
    rows = []
    for part in ("upper", "lower"):
        network, loss = SageVQVAE(part), VQLoss(part)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
        width = 6 * len(network.joints)
        motion, sparse = torch.randn(BATCH, 20, width), torch.randn(BATCH, 20, 3, 18)

        def step(network=network, loss=loss, optimizer=optimizer, motion=motion, sparse=sparse) -> None:
            output = network(motion, sparse, last_only=True)
            total = loss(
                output.reconstruction[:, -1], motion[:, -1], output.quantizer_loss, sparse[:, -1]
            ).total
            optimizer.zero_grad()
            total.backward()
            optimizer.step()

        prediction = torch.randn(BATCH, width, requires_grad=True)

        def losses(loss=loss, prediction=prediction, motion=motion, sparse=sparse) -> None:
            loss(prediction, motion[:, -1], torch.zeros(()), sparse[:, -1]).total.backward()

        taken, loss_time, speed = seconds(step, minimum=4.0), seconds(losses), matmul_speed()
        share = floor_share(flops(step), taken, speed)
        rows.append(
            Row(
                f"sage {part} vq-vae, training step, batch {BATCH}",
                1 / taken,
                "steps/s",
                threads,
                floor_share=share,
            )
        )
        rows.append(
            Row(
                f"sage {part} vq-vae, losses with kinematics",
                100 * loss_time / taken,
                "% of the step",
                threads,
                ratio=_mesh_loss(prediction, motion[:, -1]) / loss_time,
                plain="kinematics by the full mesh",
            )
        )
    return rows


def _mesh_loss(prediction: torch.Tensor, target: torch.Tensor) -> float:
    """Time of the position loss when joints come from skinning the whole body, as in the original."""
    body = load_body()
    joints = prediction.shape[1] // 6

    def loss() -> None:
        positions = []
        for sixd in (prediction, target):
            rotations = torch.eye(3).repeat(BATCH, 52, 1, 1)
            rotations[:, :joints] = sixd_columns_to_matrix(sixd.view(BATCH, joints, 6))
            positions.append(body(rotations, None).joints)
        torch.nn.functional.smooth_l1_loss(*positions).backward()

    return seconds(loss)
