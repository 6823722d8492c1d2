"""The multi-layer perceptron behind every sample (docs/specs/anerf.md, section 4)."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FrameCodes(nn.Module):
    """One learnt code per training image.

    Args:
        count: images.
        size: width of a code.
    """

    def __init__(self, count: int, size: int = 16) -> None:
        super().__init__()
        self.codes = nn.Embedding(count, size)
        nn.init.xavier_normal_(self.codes.weight)

    def forward(self, index: Tensor) -> Tensor:
        """Codes (R, size) of indices.

        Args:
            index: (R,) whole numbers; where negative, the mean of the table is taken. Or (R, 3) rows (a, b, w): a blend
                of code a and code b with share w of b.

        Raises:
            IndexError: an index is not below the number of codes.
        """
        if index.ndim == 2:
            first, second = self.codes(index[:, 0].long()), self.codes(index[:, 1].long())
            return torch.lerp(first, second, index[:, 2:].to(first))
        index = index.long()
        mean = self.codes.weight.mean(0)
        return torch.where((index < 0)[:, None], mean, self.codes(index.clamp_min(0)))


class RadianceNetwork(nn.Module):
    """Density and colour of one sample.

    Names of parameters are the original's. `forward` is the plain network over encodings; `density` and `colour` are its
    halves over what is constant along a ray, the same numbers for less work.

    Args:
        density_inputs: width of the density encoding.
        view_inputs: width of the view encoding.
        depth, width: of the density branch.
        skip: the input is put before the output of this layer.
        num_codes: frame codes; 0 for none.
        code_size: width of a code.
    """

    def __init__(
        self,
        density_inputs: int,
        view_inputs: int,
        *,
        depth: int = 8,
        width: int = 256,
        skip: int = 4,
        num_codes: int = 0,
        code_size: int = 16,
    ) -> None:
        super().__init__()
        self.density_inputs, self.view_inputs, self.skip = density_inputs, view_inputs, skip
        sizes = [density_inputs] + [
            width + (density_inputs if layer == skip else 0) for layer in range(depth - 1)
        ]
        self.pts_linears = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.alpha_linear = nn.Linear(width, 1)
        codes = code_size if num_codes else 0
        self.views_linears = nn.ModuleList([nn.Linear(width + view_inputs + codes, width // 2)])
        self.feature_linear = nn.Linear(width, width)
        self.rgb_linear = nn.Linear(width // 2, 3)
        self.framecodes = FrameCodes(num_codes, code_size) if num_codes else None

    def hidden(self, encoded: Tensor) -> Tensor:
        """Last hidden state (..., width) of the density branch."""
        state = encoded
        for index, layer in enumerate(self.pts_linears):
            if index == self.skip + 1:
                # The concatenation [input, state] as two products: nothing is copied.
                weight, bias, inputs = cast(nn.Linear, layer).weight, layer.bias, self.density_inputs
                first = F.linear(encoded, weight[:, :inputs], cast(Tensor, bias))
                state = torch.addmm(first.flatten(0, -2), state.flatten(0, -2), weight[:, inputs:].T).view_as(
                    first
                )
            else:
                state = layer(state)
            state = F.relu_(state)
        return state

    def density(self, encoded: Tensor) -> Tensor:
        """Raw density (...) of density encodings (..., density_inputs): no view, no code."""
        return self.alpha_linear(self.hidden(encoded)).squeeze(-1)

    def forward(self, encoded: Tensor, view: Tensor, code_index: Tensor | None = None) -> Tensor:
        """Raw red, green, blue, density (N, 4) of encodings (N, density_inputs) and (N, view_inputs)."""
        state = self.hidden(encoded)
        parts = [self.feature_linear(state), view]
        if self.framecodes is not None:
            parts.append(self.framecodes(self._code_index(code_index)))
        shaded = F.relu(self.views_linears[0](torch.cat(parts, dim=-1)))
        return torch.cat([self.rgb_linear(shaded), self.alpha_linear(state)], dim=-1)

    def view_table(self, rows: Tensor) -> Tensor:
        """(R, J, width / 2): the view layer's answer per joint to view features (R, rows, 3 J), before fading.

        The fading weight of a joint multiplies all its features, so the layer needs only the weights of each sample.
        """
        start = self.feature_linear.out_features
        weight = self._view_layer.weight[:, start : start + self.view_inputs]
        weight = weight.reshape(len(weight), rows.shape[-2], -1, 3)
        return torch.einsum("rkjc,hkjc->rjh", rows.unflatten(-1, (-1, 3)), weight)

    def view_share(self, fade: Tensor, table: Tensor, code_index: Tensor | None = None) -> Tensor:
        """(R, S, width / 2): what view and frame code add in the view layer.

        Args:
            fade: (R, S, J) weights of the view features.
            table: (R, J, width / 2), see `view_table`.
            code_index: (R,) or (R, 3), see `FrameCodes`.
        """
        share = fade @ table
        if self.framecodes is not None:
            start = self.feature_linear.out_features + self.view_inputs
            codes = self.framecodes(self._code_index(code_index))
            share = share + F.linear(codes, self._view_layer.weight[:, start:])[:, None]
        return share

    def outputs(self, encoded: Tensor, view_share: Tensor) -> Tensor:
        """Raw outputs (N, 4) of density encodings (N, density_inputs) and view shares (N, width / 2)."""
        layer = self._view_layer
        state = self.hidden(encoded)
        # No activation lies between the feature layer and the view layer: they are one matrix.
        weight = layer.weight[:, : self.feature_linear.out_features]
        folded = weight @ self.feature_linear.weight
        bias = weight @ self.feature_linear.bias + layer.bias
        colours = self.rgb_linear(F.relu_(F.linear(state, folded, bias) + view_share))
        return torch.cat([colours, self.alpha_linear(state)], dim=-1)

    @property
    def _view_layer(self) -> nn.Linear:
        return cast(nn.Linear, self.views_linears[0])

    @staticmethod
    def _code_index(code_index: Tensor | None) -> Tensor:
        if code_index is None:
            raise ValueError(
                "this network has frame codes: give the index of the image of every ray (-1: mean code)"
            )
        return code_index
