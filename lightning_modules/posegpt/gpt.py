"""PoseGPT: training of the generator of tokens (docs/specs/posegpt.md, section 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapposto.errors import ConfigError, MissingError
from contrapposto.systems.posegpt.autoencoder import MotionAutoEncoder
from contrapposto.systems.posegpt.convolutional import ConvAutoEncoder
from contrapposto.systems.posegpt.gpt import PoseGPT
from contrapposto.systems.posegpt.losses import token_accuracy, token_nll, token_nll_with_end
from contrapposto.systems.posegpt.official import load_official, read_vqvae
from contrapposto.systems.posegpt.poses import network_input
from contrapposto.systems.posegpt.vqvae import build_autoencoder
from contrapposto.weights import ImportReport
from lightning_modules.base import AUTHORS_SUFFIXES, load_stage, weights_hash
from lightning_modules.posegpt.common import PoseModule, keep_vocabulary, token_share
from lightning_modules.posegpt.samples import sample_media
from lightning_modules.posegpt.vqvae import PoseGPTVQVAEModule


class PoseGPTModule(PoseModule):
    """Trains `PoseGPT` on the tokens of a frozen auto-encoder, which is part of this module and its checkpoints.

    Validation and test steps return named outputs of B windows: `token_nll` and `token_accuracy` (B,), means over the
    window's tokens; `num_tokens` (B,); `clips`; `num_frames`.

    Args:
        vqvae: checkpoint of the auto-encoder, ours or the authors' (.pt); None where its weights come with this module's own.
        vqvae_network: options of the auto-encoder, where there is no `vqvae`.
        network: options of `PoseGPT`; those of the auto-encoder and the vocabulary follow from these.
        vocabulary, store: see `keep_vocabulary`.
        window: frames of the windows.
        per_frame: actions hold frame by frame.
        original_end: of generators with an end token: count all padding in the loss, as the original does.
        skeleton, heading, height: see `PoseModule`; those of the auto-encoder.

    Raises:
        MissingError: no such checkpoint.
        ConfigError: its auto-encoder was trained on other windows.
        InputError: the windows are longer than the network's table of lengths.
    """

    compiled = ("network.gpt",)

    def __init__(
        self,
        vqvae: str | None = None,
        vqvae_network: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        vocabulary: str | Sequence[str] = "auto",
        store: str | None = None,
        window: int = 64,
        per_frame: bool = False,
        original_end: bool = False,
        skeleton: str = "smplh52",
        heading: str = "random",
        height: str = "start",
    ) -> None:
        super().__init__(skeleton, heading, height)
        self.save_hyperparameters()
        if per_frame and not (network or {}).get("every_step", True):
            raise ConfigError("Actions frame by frame need module.network.every_step=true.")
        self.vocabulary = keep_vocabulary(self, vocabulary, store)
        self.window, self.per_frame, self.original_end = window, per_frame, original_end
        encoder = self._encoder(vqvae, vqvae_network)
        if window % encoder.factor:
            raise ConfigError(
                f"Windows of {window} frames cannot be cut into tokens.",
                expected=f"data.window a multiple of {encoder.factor}",
            )
        if isinstance(encoder, ConvAutoEncoder):  # the tokens of the training windows are many
            encoder.feedback = 0.0
        self.network = PoseGPT(encoder, num_actions=len(self.vocabulary), **(network or {}))
        self.network.check_lengths(0, window)

    def _encoder(self, checkpoint: str | None, options: Mapping[str, Any] | None) -> MotionAutoEncoder:
        """The auto-encoder; the hyper-parameters then say how to build it without its checkpoint."""
        if checkpoint is None:
            if options is None:
                raise MissingError(
                    "The generator needs its auto-encoder.",
                    fix="python train.py model=posegpt_vqvae, or module.vqvae=CHECKPOINT",
                )
            return build_autoencoder(self.skeleton.num_joints, options)
        if Path(checkpoint).suffix in AUTHORS_SUFFIXES:
            return self._theirs(checkpoint)
        stage = load_stage(PoseGPTVQVAEModule, checkpoint, "posegpt_vqvae")
        own = {name: stage.hparams[name] for name in ("skeleton", "heading", "height")}
        wanted = {name: self.hparams[name] for name in own}
        if own != wanted:
            raise ConfigError(f"{checkpoint} does not fit.", found=str(own), expected=str(wanted))
        self.hparams["vqvae"] = None
        self.hparams["vqvae_network"] = dict(stage.hparams["network"] or {})
        encoder: MotionAutoEncoder = stage.network
        return encoder

    def _theirs(self, checkpoint: str) -> MotionAutoEncoder:
        """The authors' auto-encoder."""
        model, options = read_vqvae(checkpoint)
        if model.num_joints != self.skeleton.num_joints:
            raise ConfigError(
                f"{checkpoint} is of another skeleton than data.skeleton.",
                found=f"{model.num_joints} joints",
                expected=f"{self.skeleton.num_joints} joints",
                fix="data.skeleton=smpl24, smplh52 or smplx55",
            )
        self.hparams["vqvae"], self.hparams["vqvae_network"] = None, options
        return model.eval().requires_grad_(False)

    @property
    def vqvae(self) -> MotionAutoEncoder:
        """The frozen auto-encoder."""
        assert self.network.vqvae is not None
        return self.network.vqvae

    def on_fit_start(self) -> None:
        """Have the tokens of the training windows cached, where the data module does that."""
        self.cache_outputs(type(self).__name__, {"weights": weights_hash(self.vqvae)}, self._cached_tokens)

    @torch.no_grad()
    def _cached_tokens(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        indices, _ = self._tokens({name: value.to(self.device) for name, value in batch.items()})
        return {"tokens": indices.short().cpu()}

    def _tokens(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Codes (B, L, K), -1 where not valid, and validity (B, L) of a batch, from the cache where it has them."""
        if "tokens" in batch:
            return batch["tokens"], batch["tokens"][..., 0] >= 0
        return self.network.tokens(network_input(batch["pose"]), batch["valid"])

    def forward(self, batch: Mapping[str, Tensor], indices: Tensor) -> Tensor:
        """Logits (B, L, K, classes) of codes (B, L, K) with the batch's conditions."""
        actions = batch["frame_actions"] if self.per_frame else batch["actions"]
        logits: Tensor = self.network(
            indices,
            actions if self.network.action_emb is not None else None,
            batch["lengths"] if self.network.seqlen_emb is not None else None,
        )
        return logits[:, :-1]

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Loss of a batch of windows, logged under train/."""
        indices, token_valid = self._tokens(batch)
        logits = self(batch, indices)
        loss = self._loss(logits, indices, token_valid) * token_share(self._counted(token_valid))
        accuracy = token_accuracy(logits, indices, token_valid, with_end=self._end)
        self.log_losses({"total": loss, "token_accuracy": accuracy}, len(indices))
        return {"loss": loss}

    @property
    def _end(self) -> bool:
        return self.network.gpt.end_token

    def _loss(self, logits: Tensor, indices: Tensor, token_valid: Tensor) -> Tensor:
        if self._end:
            return token_nll_with_end(logits, indices, token_valid, original=self.original_end)
        return token_nll(logits, indices, token_valid)

    def _counted(self, token_valid: Tensor) -> Tensor:
        """(B, L) which tokens the loss is a mean over."""
        if not self._end:
            return token_valid
        if self.original_end:
            return torch.ones_like(token_valid)
        return token_valid | F.pad(token_valid[:, :-1], (1, 0), value=True)

    def outputs_of(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        indices, token_valid = self._tokens(batch)
        logits = self(batch, indices)
        rows = [slice(row, row + 1) for row in range(len(indices))]
        losses = [self._loss(logits[row], indices[row], token_valid[row]) for row in rows]
        hits = [token_accuracy(logits[r], indices[r], token_valid[r], with_end=self._end) for r in rows]
        return {
            "token_nll": torch.stack(losses),
            "token_accuracy": torch.stack(hits),
            "num_tokens": self._counted(token_valid).sum(1),
        }

    def media(self, stage: str, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        """Samples of the actions with the first batch: of all at the end of the training and in tests."""
        if int(batch["sample_ids"][0]) != 0:
            return {}
        trainer = self.trainer
        last = trainer.state.fn != "fit" or trainer.current_epoch + 1 == trainer.max_epochs
        return sample_media(self, self.offered("train_actions"), seed=0, everything=last)

    def load_official(self, path: Path) -> dict[str, ImportReport]:
        """Load a checkpoint in the layout of the authors' code, the auto-encoder included."""
        return {"gpt": load_official(self.network, path)}
