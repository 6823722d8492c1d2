"""The tables of docs/costs.md: every model has its row, and what is counted is what there is."""

from pathlib import Path

import pytest
import torch

from benchmarks.cost_tables import GPU_FLOPS, GPU_SHARE, KERNEL_SECONDS, Cost, duration, number, size
from benchmarks.full_runs import OWN, RUNS, UNTRAINED, FullRun
from benchmarks.growth import Series
from benchmarks.one_step import Step, counting
from benchmarks.page import write_between
from cli.launch import groups
from contrapposto.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "costs.md"


def test_every_model_has_its_row():
    models = {run.model for run in RUNS} | set(UNTRAINED)
    assert models == set(groups()["model"]) - set(OWN)
    text = PAGE.read_text()
    assert all(text.count(f"| `{model}`") >= (1 if model in UNTRAINED else 2) for model in models)


def test_a_stage_comes_after_those_that_it_starts_from():
    seen = set()
    for run in RUNS:
        assert set(run.starts_from.values()) <= seen, run.name
        seen.add(run.model)


def test_counting():
    """Two linear layers: two products forward, three backward; the input and the hidden layer are kept, each once."""
    network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    x = torch.randn(4, 8)
    with counting(network) as counts:
        network(x).sum().backward()
    assert counts.flops == 2 * 4 * (8 * 16) * 2 + 2 * 4 * (16 * 2) * 3
    assert counts.kept_bytes == 4 * (4 * 8 + 4 * 16)
    assert 10 <= counts.operations <= 30


def test_attention_is_counted():
    """Scores and mixture, and four products backward: of all of them half belong to each."""
    query = torch.randn(2, 3, 5, 7, requires_grad=True)
    with counting(torch.nn.Identity()) as counts:
        torch.nn.functional.scaled_dot_product_attention(query, query, query).sum().backward()
    assert counts.flops == 6 * 2 * (2 * 3) * 5 * 5 * 7


def test_scaling_to_the_full_run():
    """Frozen networks once for every window, the rest in every step, which is no shorter than its kernels' starts."""
    run = FullRun("m", batch=100, unit="windows", steps=1000, origin="", small=(), windows=50, frozen="f")
    step = Step(
        weights=30,
        trained=10,
        reduced=20,
        units=10,
        flops=8e9,
        frozen_flops=2e9,
        frozen_bytes=6,
        kept_bytes=7.0,
        operations=400,
        seconds=2.0,
        optimizer_bytes=80,
        checkpoint_bytes=5,
    )
    cost = Cost(run, step, 1e10)
    assert cost.step_flops == 6e10 and cost.fill_flops == 1e10 and cost.cache_bytes == 300
    assert cost.total_flops == 6e13 + 1e10
    assert cost.share == pytest.approx(0.4)
    assert cost.cpu_seconds == pytest.approx((6e13 + 1e10) / 8e9)
    assert cost.memory == (4 * 30 + 4 * 10 + 80, 70)
    starts = 1000 * 400 * KERNEL_SECONDS
    assert cost.gpu_seconds == pytest.approx(starts + 1e10 / GPU_FLOPS / GPU_SHARE)
    assert cost.gpu_bound == "kernel launches"


def test_figures_are_readable():
    assert [number(value) for value in (0.00123, 3.14159, 42.42, 123456.0)] == [
        "0.0012",
        "3.1",
        "42",
        "123,000",
    ]
    assert [size(value) for value in (2e3, 5.5e6, 2.345e10)] == ["2 kB", "5.5 MB", "23 GB"]
    assert [duration(value) for value in (600, 3 * 3600, 1e6, 1e8)] == [
        "10 min",
        "3 h",
        "12 days",
        "3.2 years",
    ]


def test_a_page_without_a_place_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- end -->\nb\n<!-- y -->\nother\n<!-- end -->\n")
    write_between(page, "x", "new")
    assert page.read_text() == "a\n<!-- x -->\n\nnew\n\n<!-- end -->\nb\n<!-- y -->\nother\n<!-- end -->\n"
    with pytest.raises(InputError, match="no place"):
        write_between(page, "z", "new")


def test_the_slope_of_a_power_is_its_exponent():
    sizes = (1, 10, 100, 1000)
    series = Series("", "", "", sizes, tuple(0.003 * size**1.5 for size in sizes))
    assert series.slope == pytest.approx(1.5)
    bent = Series("", "", "", sizes, (1.0, 1.0, 1.0, 10.0))  # the larger half counts
    assert bent.slope == pytest.approx(1.0)
