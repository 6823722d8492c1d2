"""Neighbours on the body take similar values: what few images show of a person is not explained by speckles."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from contrapposto.systems.anerf.splats.model import SplatAvatar

_NEIGHBOURS = 6


class SurfaceGraph:
    """Gaussians and their nearest ones on the same side of the body.

    Args:
        avatar: its places and normals at rest.
        neighbours: of each Gaussian; an edge counts for both of its ends.
    """

    def __init__(self, avatar: SplatAvatar, neighbours: int = _NEIGHBOURS) -> None:
        from scipy.sparse import coo_array, diags_array
        from scipy.spatial import cKDTree

        places, normals = avatar.position.cpu().numpy(), avatar.frame[:, :, 2].cpu().numpy()
        count = len(places)
        _, index = cKDTree(places).query(places, k=min(neighbours + 1, count))
        own, other = np.repeat(np.arange(count), index.shape[1] - 1), index[:, 1:].ravel()
        facing = np.einsum("nd,nd->n", normals[own], normals[other]) > 0
        own, other = own[facing], other[facing]
        edges = coo_array((np.ones(len(own), np.float32), (own, other)), shape=(count, count)).tocsr()
        edges = edges.maximum(edges.T)
        laplacian = (diags_array(edges.sum(1)) - edges).tocoo().astype(np.float32)
        place = torch.from_numpy(np.stack([laplacian.row, laplacian.col]).astype(np.int64))
        matrix = torch.sparse_coo_tensor(
            place, torch.from_numpy(laplacian.data), laplacian.shape, check_invariants=True
        )
        self._laplacian = matrix.coalesce().to(avatar.position.device)
        self._edges = max(edges.nnz / 2, 1.0)

    def energy(self, values: Tensor) -> Tensor:
        """Mean over the edges of the squared difference of values (N, D) at their ends.

        The graph's matrix is symmetric, so the gradient is twice the product that the energy is made of.
        """
        product = self._laplacian @ values.detach()
        return (2 * (values * product).sum() - (values.detach() * product).sum()) / self._edges
