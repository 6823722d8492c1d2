"""NPR: poses for training; poses, targets and their truth for evaluation (docs/specs/npr.md, sections 6 and 7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from contrapposto.errors import ConfigError, InputError
from contrapposto.mesh.files import read_mesh
from contrapposto.mesh.template import Normalize, Template
from contrapposto.nn.random import keyed_integers
from contrapposto.systems.npr.data.mesh_store import IdentityRecord, MeshStore, share_of
from datamodules.base import StoreDataModule
from datamodules.steps import StepLoader, evaluation_loader

Batch = dict[str, Any]


@dataclass(frozen=True, eq=False)
class PosedIdentity:
    """A template made ready, and its training poses (N, V', 3) float32 in the template's normalised units."""

    name: str
    template: Template
    vertices: Tensor
    pose_names: tuple[str, ...]


class NPRDataModule(StoreDataModule):
    """Poses of one or several identities.

    All about a template (cleaning, operators, factorisation) is computed once. Jacobians are linear in the vertices and
    are computed in the step, which costs less than reading them.

    A training batch holds `source` and `target`, `Template` objects (the same one, but for `cross`); `vertices`
    (B, V, 3) and `truth` (B, V', 3) float32 in the normalised units of their templates; `rows` (B,) numbers of the
    poses among all training poses (`train_poses`); `sample_ids` (B,) and `step`. All poses of a batch are of one
    identity; the batch of a step is a function of (seed, step). With `rows_only` there is nothing but `rows`,
    `sample_ids`, `step`, and poses of all identities are mixed.

    An evaluation batch holds `source`, `target`, `vertices`, `truth` (None where it is not known), `names`, and `group`:
    `unseen_poses` (targets trained on), `unseen_shapes` (other identities), `other_connectivity` (remeshed copies).

    Args:
        store: folder that prepare.py wrote.
        identities: names of the identities to train on; the store's first one where None.
        test_identities: targets of the evaluation beside those; all others that have the same poses where None.
        eval_sources: sources of the evaluation; all identities trained on where None.
        batch_size: poses per step over all processes.
        eval_batch_size: poses per batch in evaluation.
        steps_per_epoch: None: as many as show every pose once on average.
        test_share, val_share: shares of the poses held out, by a hash of what they came from.
        max_val_poses: poses per target in validation. None: all.
        max_val_targets: targets in validation beside the trained identities. None: all.
        normalize: see `Template`.
        cross: with several identities: the target of a step is another identity than the source, in the same pose.
            The paper's training needs no such pairs.
        rows_only: see above; for models of latents.
        target: a mesh file, or the name of an identity: the only target of training and evaluation; for refinement.
        seed: of the draws.
    """

    from_user_media = False

    offers = ("templates", "train_poses", "normalize", "target_template")

    def __init__(
        self,
        store: str | Path,
        identities: Sequence[str] | None = None,
        test_identities: Sequence[str] | None = None,
        eval_sources: Sequence[str] | None = None,
        batch_size: int = 1,
        eval_batch_size: int = 8,
        steps_per_epoch: int | None = None,
        test_share: float = 0.2,
        val_share: float = 0.1,
        max_val_poses: int | None = 8,
        max_val_targets: int | None = 1,
        normalize: Normalize = "unit_cube",
        cross: bool = False,
        rows_only: bool = False,
        target: str | None = None,
        seed: int = 10,
    ) -> None:
        super().__init__()
        self.store_path, self.identities, self.test_identities = Path(store), identities, test_identities
        self.eval_sources = eval_sources
        self.batch_size, self.eval_batch_size, self.steps_per_epoch = (
            batch_size,
            eval_batch_size,
            steps_per_epoch,
        )
        self.test_share, self.val_share = test_share, val_share
        self.max_val_poses, self.max_val_targets = max_val_poses, max_val_targets
        self.normalize: Normalize = normalize
        self.cross, self.rows_only, self.target, self.seed = cross, rows_only, target, seed
        self._templates: dict[str, Template] = {}
        self.train_poses: list[PosedIdentity] = []

    def setup(self, stage: str) -> None:
        """Open the store and prepare the templates of training."""
        self.store = MeshStore.open(self.store_path)
        names = list(self.identities or self.store.names[:1])
        self.train_names = [self.store.record(name).name for name in names]
        if not all(self.store.record(name).poses for name in names):
            raise InputError("An identity to train on has no poses.", found=", ".join(names))
        if not self.train_poses:
            self.train_poses = [self._posed(name) for name in names]
        if self.cross and len({item.pose_names for item in self.train_poses}) > 1:
            raise ConfigError("data.cross needs identities that have the same poses.", found=", ".join(names))

    @property
    def templates(self) -> dict[str, Template]:
        """Of the identities trained on, by name."""
        return {item.name: item.template for item in self.train_poses}

    @property
    def target_template(self) -> Template:
        """The target that `target` names.

        Raises:
            ConfigError: none is named.
        """
        if self.target is None:
            raise ConfigError("No target chosen.", fix="data.target=FILE, or an identity of the store")
        return self.template(self.target)

    def template(self, name: str) -> Template:
        """The template of an identity, or of a mesh file; made once."""
        if name not in self._templates:
            known = name in self.store.names
            mesh = self.store.mesh(name) if known else read_mesh(name)
            self._templates[name] = Template(mesh, normalize=self.normalize)
        return self._templates[name]

    def _posed(self, name: str) -> PosedIdentity:
        record, template = self.store.record(name), self.template(name)
        chosen = self._part(record, "train")
        if not len(chosen):
            raise InputError(
                f"No pose of {name} is left to train on.",
                found=f"{len(record.poses)} poses",
                fix="lower data.test_share or data.val_share",
            )
        vertices = template.normalized(np.asarray(self.store.poses(name)[chosen], np.float64)).float()
        return PosedIdentity(name, template, vertices, tuple(record.poses[i] for i in chosen))

    def _part(self, record: IdentityRecord, part: str) -> np.ndarray:
        return record.part(part, self.test_share, self.val_share)

    def train_dataloader(self) -> StepLoader:
        """Training batches."""
        assert self.trainer is not None
        trainer = self.trainer
        count = sum(len(item.vertices) for item in self.train_poses)
        steps = self.steps_per_epoch or max(count // self.batch_size, 1)

        def dataset(first: int, last: int) -> IterableDataset:
            return _TrainBatches(self, first, last, trainer.global_rank, trainer.world_size)

        return StepLoader(dataset, steps, None if getattr(trainer, "overfit_batches", 0) else trainer)

    def val_dataloader(self) -> DataLoader:
        """Held-out poses on the trained identities and some others."""
        return self._evaluation("val", self.max_val_targets, self.max_val_poses)

    def test_dataloader(self) -> DataLoader:
        """Held-out poses on all targets."""
        return self._evaluation("test", None, None)

    def _evaluation(self, part: str, max_targets: int | None, max_poses: int | None) -> DataLoader:
        assert self.trainer is not None
        items = [
            item
            for source in self.eval_sources or self.train_names
            for item in self._items(source, part, self._targets(max_targets), max_poses)
        ]
        return evaluation_loader(_Items(items), self.trainer)

    def _targets(self, limit: int | None) -> list[str]:
        if self.target is not None:
            return [self.target]
        others = self.test_identities
        if others is None:
            others = [name for name in self.store.names if name not in self.train_names]
        return [*self.train_names, *[self.store.record(name).name for name in others[:limit]]]

    def _items(self, source: str, part: str, targets: Sequence[str], limit: int | None) -> Iterator[Batch]:
        """Evaluation batches of a source: the same poses on all targets, one after the other."""
        record = self.store.record(source)
        chosen = self._part(record, part)
        if not len(chosen):  # few poses, or none held out
            chosen = self._part(record, "train")
        chosen = chosen[np.argsort([share_of(f"order {record.poses[i]}") for i in chosen])][:limit]
        for start in range(0, len(chosen), self.eval_batch_size):
            names = [record.poses[i] for i in chosen[start : start + self.eval_batch_size]]
            vertices, _ = self._poses(source, names)
            for target in targets:
                truth, known = self._poses(target, names)
                if not known and self.target is None:
                    continue
                kept = [names.index(name) for name in known] or list(range(len(names)))
                yield {
                    "source": self.template(source),
                    "target": self.template(target),
                    "vertices": vertices[kept],
                    "truth": truth if known else None,
                    "names": [f"{target}/{names[i]}" for i in kept],
                    "group": self._group(target),
                }

    def _poses(self, identity: str, names: Sequence[str]) -> tuple[Tensor, list[str]]:
        """Normalised poses of an identity by name, and the names that it has."""
        if identity not in self.store.names:
            return torch.zeros(0), []
        number = {pose: index for index, pose in enumerate(self.store.record(identity).poses)}
        known = [name for name in names if name in number]
        arrays = self.store.poses(identity)[[number[name] for name in known]]
        if not known:
            return torch.zeros(0), []
        return self.template(identity).normalized(np.asarray(arrays, np.float64)).float(), known

    def _group(self, target: str) -> str:
        if target in self.train_names:
            return "unseen_poses"
        copy = target in self.store.names and self.store.record(target).copy_of
        return "other_connectivity" if copy else "unseen_shapes"

    def provenance(self) -> dict[str, Any]:
        """Hash, source and licence of the data, for provenance files and checkpoints."""
        origin = {key: self.store.manifest[key] for key in ("source", "licence", "attribution")}
        poses = {item.name: len(item.vertices) for item in self.train_poses}
        return {
            **origin,
            "store": self.store.path.name,
            "content_hash": self.store.content_hash,
            "train_poses": poses,
        }


class _TrainBatches(IterableDataset):
    """The batches of steps `first` to `last`, this process's share of each."""

    def __init__(self, data: NPRDataModule, first: int, last: int, rank: int, world_size: int) -> None:
        super().__init__()
        self.data, self.steps = data, range(first, last)
        size = data.batch_size // world_size
        self.places = torch.arange(rank * size, (rank + 1) * size)
        self.starts = np.cumsum([0, *(len(item.vertices) for item in data.train_poses)])

    def __iter__(self) -> Iterator[Batch]:
        for step in self.steps:
            ids = step * self.data.batch_size + self.places
            keys = {"sample_ids": ids, "step": step}
            yield {**(self._rows(step) if self.data.rows_only else self._posed(step)), **keys}

    def _rows(self, step: int) -> Batch:
        high = int(self.starts[-1])
        return {"rows": keyed_integers(self.data.seed, step, self.places, (), high, "npr rows")}

    def _posed(self, step: int) -> Batch:
        seed, items = self.data.seed, self.data.train_poses
        one = torch.zeros(1, dtype=torch.int64)
        source = int(keyed_integers(seed, step, one, (), len(items), "npr identity"))
        target = source
        if self.data.cross and len(items) > 1:
            shift = int(keyed_integers(seed, step, one, (), len(items) - 1, "npr target")) + 1
            target = (source + shift) % len(items)
        chosen = keyed_integers(seed, step, self.places, (), len(items[source].vertices), "npr poses")
        return {
            "source": items[source].template,
            "target": items[target].template,
            "vertices": items[source].vertices[chosen],
            "truth": items[target].vertices[chosen],
            "rows": chosen + int(self.starts[source]),
        }


class _Items(Dataset):
    def __init__(self, items: list[Batch]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Batch:
        return self.items[index]
