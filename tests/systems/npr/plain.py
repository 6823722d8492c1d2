"""NPR's networks as the sheet states them: every pair spelled out, all distances, full sorts, nothing folded.

The reference of the tests and of the benchmarks; it reads the parameters of our modules.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapposto.mesh.operators import face_centroids
from contrapposto.mesh.poisson import PoissonSolver
from contrapposto.mesh.surface_sampling import furthest_points
from contrapposto.systems.npr.extractor import PoseCode


def neighbours(queries: Tensor, points: Tensor, count: int) -> Tensor:
    distance = (queries[:, :, None] - points[:, None]).square().sum(-1)
    return distance.argsort(dim=-1)[..., :count]


def rows(table: Tensor, index: Tensor) -> Tensor:
    return torch.stack([sample[chosen] for sample, chosen in zip(table, index)])


def norm(module: Any, points: Tensor) -> Tensor:
    """Statistics of each sample."""
    mean = points.mean(1, keepdim=True)
    variance = points.var(1, correction=0, keepdim=True)
    return (points - mean) / torch.sqrt(variance + module.eps) * module.weight + module.bias


def attend(gamma: Any, query: Tensor, key: Tensor, value: Tensor, delta: Tensor) -> Tensor:
    weights = torch.softmax(gamma(query[:, :, None] - key + delta), dim=2)
    return (weights * (value + delta)).sum(2)


def block(module: Any, positions: Tensor, x: Tensor) -> Tensor:
    count = module.neighbours or positions.shape[1]
    index = neighbours(positions, positions, count)
    delta = module.fc_delta(positions[:, :, None] - rows(positions, index))
    key, value = rows(module.w_ks(x), index), rows(module.w_vs(x), index)
    return norm(module.bn, attend(module.fc_gamma, module.w_qs(x), key, value, delta) + x)


def conv(module: Any, x: Tensor) -> Tensor:
    return F.conv1d(x.transpose(1, 2), module.weight, module.bias).transpose(1, 2)


def elementwise(module: Any, x: Tensor) -> Tensor:
    hidden = F.relu(norm(module.bn1, conv(module.conv1, x)))
    return norm(module.bn3, x + F.relu(norm(module.bn2, conv(module.conv2, hidden))))


def abstraction(module: Any, positions: Tensor, x: Tensor, chosen: Tensor) -> Tensor:
    centres, own = rows(positions, chosen), rows(x, chosen)
    index = neighbours(centres, positions, module.neighbours)
    near = rows(x, index)
    delta = module.fc_delta1(rows(positions, index) - centres[:, :, None])
    first = attend(module.fc_gamma1, module.w_qs(own), module.w_ks(near), module.w_vs(near), delta)
    first = first + conv(module.conv2, F.relu(norm(module.bn1, conv(module.conv1, first))))
    first = norm(module.bnorm0, first)
    second = attend(module.fc_gamma2, module.w_qs2(first), module.w_ks2(near), module.w_vs2(near), delta)
    return norm(module.bnorm2, norm(module.bnorm1, first + second) + own)


def extract(module: Any, positions: Tensor, features: Tensor) -> PoseCode:
    x = block(module.transformer_begin, positions, module.enc_sdf(features))
    for stage, count in enumerate(module.points):
        chosen = furthest_points(positions, count)
        x = abstraction(module.transition_downs[stage].sa, positions, x, chosen)
        positions = rows(positions, chosen)
        x = elementwise(module.elementwise_extras[stage], x)
        x = block(module.transformer_downs[stage], positions, x)
        x = elementwise(module.elementwise[stage], module.fc1(x) if stage == 0 else x)
    for final, mixing in zip(module.final_transformers, module.final_elementwise):
        x = elementwise(mixing, block(final, positions, x))
    return PoseCode(positions, x, module.fc_middle(x.max(1).values))


def decode(module: Any, queries: Tensor, pose: PoseCode) -> Tensor:
    cross = module.ct1
    index = neighbours(queries, pose.keypoints, cross.neighbours)
    delta = cross.fc_delta(queries[:, :, None] - rows(pose.keypoints, index))
    delta = torch.cat([delta, torch.zeros_like(delta[:, :, :1])], dim=2)

    def with_global(layer: Any, whole: Any) -> Tensor:
        own = rows(layer(pose.features), index)
        return torch.cat([own, whole(pose.code)[:, None, None].expand(-1, own.shape[1], 1, -1)], dim=2)

    query = cross.w_qs(pose.code)[:, None].expand(-1, queries.shape[1], -1)
    key, value = with_global(cross.w_ks, cross.w_k_global), with_global(cross.w_vs, cross.w_v_global)
    context = attend(cross.fc_gamma, query, key, value, delta)
    x = module.init_enc(context)
    for residual, condition in zip(module.blocks, module.fc_c):
        x = x + condition(context)
        x = x + residual.fc_1(F.relu(residual.fc_0(F.relu(x))))
    return module.fc_out(F.relu(x))


def encode_mesh(model: Any, template: PoissonSolver, vertices: Tensor) -> PoseCode:
    field = template.jacobians(vertices).flatten(-2)
    return extract(model.encoder, face_centroids(vertices, template.faces), field)


def decode_mesh(model: Any, template: PoissonSolver, pose: PoseCode) -> Tensor:
    queries = face_centroids(template.vertices.to(pose.code), template.faces)
    return decode(model.decoder, queries.expand(len(pose), -1, -1), pose)
