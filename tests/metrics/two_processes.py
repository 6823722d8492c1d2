"""Every metric in two gloo processes with uneven shares, against one process; started by test_processes.py."""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torchmetrics import Metric

from contrapposto import metrics


def updates() -> list[tuple[Metric, list[tuple]]]:
    """Metrics with the arguments of five updates each; lengths of clips differ."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    clips = [(normal(2, 9, 22, 3), normal(2, 9, 22, 3), [9, 4 + i]) for i in range(5)]
    moving = [(pred, true, 60.0, lengths) for pred, true, lengths in clips]
    single = [(pred, 60.0, lengths) for pred, _, lengths in clips]
    codes = [(torch.randint(0, 8, (3, 4, 2), generator=generator),) for _ in range(5)]
    features = [(normal(4, 6), normal(3, 6) + 1) for _ in range(5)]
    return [
        (metrics.MPJPE(), clips),
        (metrics.MPJPE("hands", weighting="frame"), clips),
        (metrics.PAMPJPE(), clips),
        (metrics.MPJVE(), moving),
        (metrics.MPJRE(), clips),
        (metrics.MPJRE("geodesic"), clips),
        (metrics.Jitter(weighting="frame"), single),
        (metrics.FootSkate(), single),
        (metrics.FloorPenetration(), [(pred, lengths) for pred, _, lengths in clips]),
        (metrics.CodebookUse(2, 8), codes),
        (metrics.CodebookPerplexity(2, 8), codes),
        (metrics.CodebookHistogram(2, 8), codes),
        (metrics.FrechetDistance(6), features),
    ]


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    results = []
    for metric, arguments in updates():
        for inputs in arguments[:3] if rank == 0 else arguments[3:]:
            metric.update(*inputs)
        results.append(metric.compute())
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def main(folder: str) -> None:
    # Forked where possible: two more imports of torch take longer than everything else here.
    method = "fork" if "fork" in mp.get_all_start_methods() else "spawn"
    mp.start_processes(worker, args=(folder,), nprocs=2, start_method=method)
    for rank in range(2):
        actual = torch.load(f"{folder}/{rank}.pt")
        for (metric, arguments), value in zip(updates(), actual):
            for inputs in arguments:
                metric.update(*inputs)
            torch.testing.assert_close(value, metric.compute(), rtol=1e-5, atol=1e-6)


if __name__ == "__main__":
    main(sys.argv[1])
