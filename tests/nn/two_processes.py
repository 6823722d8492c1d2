"""Runs the quantisers in two gloo processes and compares with one process; started by test_quantizer.py."""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from contrapposto.nn.distributed import gather_rows
from contrapposto.nn.quantizer import AnchoredQuantizer, ProductQuantizer

STEPS = 3


def make(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if kind == "anchored":
        quantizer = AnchoredQuantizer(32, 12, 4, contrastive_books=(0, 2), decay=0.5, temperature=5.0)
        quantizer.embed_prob.uniform_(0, 0.004)
    else:
        quantizer = ProductQuantizer(32, 12, 4, track_usage=True)
    for book in quantizer.embeddings:
        book.weight.data.normal_()
        book.weight.data[:3] += 5  # unused: they are moved onto features
    # A layer before it, so that gradients run through the latents into parameters that both processes share.
    return torch.nn.ModuleDict({"layer": torch.nn.Linear(12, 12), "quantizer": quantizer})


def train(model: torch.nn.Module, batches: list[torch.Tensor], share: float) -> list[dict[str, torch.Tensor]]:
    """Codes, gradients and state of a few steps; `share`: this process's part of the batch times their
    number.
    """
    records = []
    for batch in batches:
        output = model["quantizer"](model["layer"](batch))
        # Terms that are means over tokens are weighted by the process's share; the contrastive term is the
        # same in every process, hence not.
        loss = (output.loss - output.extra).mean() * share + output.extra + share * output.z_q.square().mean()
        model.zero_grad()
        loss.backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
        if dist.is_initialized():
            for gradient in gradients.values():
                dist.all_reduce(gradient)
                gradient /= dist.get_world_size()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter -= 0.1 * gradients[name]
        state = {name: value.clone() for name, value in model.state_dict().items()}
        codes = gather_rows(output.indices.flatten(0, 1))
        records.append(
            {
                "codes": codes,
                "extra": output.extra.detach(),
                **state,
                **{"d " + k: v for k, v in gradients.items()},
            }
        )
    return records


CASES = [(kind, sizes) for kind in ("anchored", "plain") for sizes in ((4, 4), (5, 3))]


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    whole = torch.load(f"{folder}/batches.pt")
    results = []
    for kind, sizes in CASES:
        start = sum(sizes[:rank])
        batches = [batch[start : start + sizes[rank]] for batch in whole]
        results.append(train(make(kind), batches, 2 * sizes[rank] / sum(sizes)))
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def main(folder: str) -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    batches = [torch.randn(8, 6, 12, generator=generator) for _ in range(STEPS)]
    torch.save(batches, f"{folder}/batches.pt")
    # Forked where possible: two more imports of torch take longer than everything else here.
    method = "fork" if "fork" in mp.get_all_start_methods() else "spawn"
    mp.start_processes(worker, args=(folder,), nprocs=2, start_method=method)
    for rank in range(2):
        for (kind, sizes), actual in zip(CASES, torch.load(f"{folder}/{rank}.pt")):
            expected = train(make(kind), batches, 1.0)
            for step, (ours, theirs) in enumerate(zip(actual, expected)):
                for name, value in theirs.items():
                    place = f"{kind}, {sizes}, rank {rank}, step {step}, {name}"
                    torch.testing.assert_close(
                        ours[name],
                        value,
                        rtol=1e-4,
                        atol=1e-6,
                        msg=lambda text, place=place: f"{place}: {text}",
                    )


if __name__ == "__main__":
    main(sys.argv[1])
