"""Tables of an evaluation, and several evaluations side by side."""

import json
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from cli import compare, report
from cli.comparison import compare as compare_tables
from cli.comparison import markdown
from cli.tables import by_frame, format_tables

VALUES = {
    "mpjre": 5.234,
    "mpjpe": 6.5,
    "jitter": 655.0,
    "true_jitter": 400.0,
    "foot_skate": 3.0,
    "mpjpe_by_frame": 7.0,
    "codebook_use": 0.5,
}


def test_clips_weigh_by_their_length():
    clips = [
        {"clip": "a", "frames": "100", "mpjpe": "2.0", "jitter": "10"},
        {"clip": "b", "frames": "300", "mpjpe": "6.0", "jitter": ""},
        {"clip": "c", "frames": "3", "mpjpe": "4.0", "jitter": "nan"},
    ]
    weighted = by_frame(clips)
    assert weighted["mpjpe"] == pytest.approx((200 + 1800 + 12) / 403)
    assert weighted["jitter"] == 10
    assert by_frame([]) == {}


def test_papers_units_and_what_has_no_column():
    lines = format_tables(VALUES, {"mpjpe": 7.0}).splitlines()
    titles, units, clips, frames, truth = (line.split() for line in lines[:5])
    assert titles == ["MPJRE", "↓", "MPJPE", "↓", "jitter"]
    assert units == ["deg", "cm", "10^2", "m/s^3"]
    assert clips == ["mean", "over", "clips", "5.23", "6.50", "6.55"]
    assert frames == ["mean", "over", "frames", "7.00"]
    assert truth == ["truth", "4.00"]
    assert ["codebook_use", "50", "%", "↑"] in [line.split() for line in lines]
    assert "lower is better" in lines[-1]
    assert not any("by_frame" in line for line in lines)


def write_evaluation(runs, model, data, options=(), trained_on="cmu", settings=None):
    run = runs / model / "2026-01-01_00-00-00"
    folder = run / "evaluation" / f"{data}-test{''.join(options)}"
    folder.mkdir(parents=True)
    OmegaConf.save({"name": model, "stage": "test", "data": {"name": data}}, folder / "config.yaml")
    if trained_on:
        metadata = {"data": {"name": trained_on}, "experiment": "small"}
        (run / "result.json").write_text(json.dumps(metadata))
    entry = {
        "metrics": {f"test/{name}": value for name, value in VALUES.items()},
        "by_frame": {"test/mpjpe": 7.5},
        "clips": 12,
        "options": list(options),
        "settings": settings or {},
        "weights": "checkpoint" if trained_on else None,
    }
    (folder / "metrics.json").write_text(json.dumps({"test": entry}))
    return folder


def test_evaluations_side_by_side_say_on_which_data(tmp_path, capsys):
    write_evaluation(tmp_path, "sage_refiner", "amass", ("module.steps=1",))
    write_evaluation(tmp_path, "sage_ik", "cmu", trained_on=None)
    assert compare.main([str(tmp_path)]) == 0
    title, rule, first, second = capsys.readouterr().out.splitlines()
    assert title.count("|") == rule.count("|") == first.count("|") == second.count("|")
    assert "MPJPE, cm" in title and "jitter (truth), 10^2 m/s^3" in title
    assert first.startswith("| sage_ik | - | cmu, test | 12 | 5.23 | 6.50 | 6.55 (4.00) |")
    assert second.startswith("| sage_refiner module.steps=1 | cmu, small | amass, test | 12 |")
    assert compare.main([str(tmp_path / "sage_ik"), "--by-frame"]) == 0
    assert "7.50" in capsys.readouterr().out


def test_the_table_states_how_outputs_were_treated(tmp_path, capsys):
    settings = {"steps": 5, "finishing": "no filter, hands reach their devices, no floor"}
    write_evaluation(tmp_path, "sage_refiner", "amass", settings=settings)
    write_evaluation(tmp_path, "sage_ik", "cmu", trained_on=None)
    assert compare.main([str(tmp_path)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.strip() == "sage_refiner: steps: 5; finishing: no filter, hands reach their devices, no floor"


def test_curves_have_units_and_no_copies(tmp_path, monkeypatch):
    lines = ["step,train/loss,val/mpjpe,val/mpjpe_by_frame,val/jitter,val/true_jitter,val/alone_by_frame"]
    lines += [f"{step},{1 / step},{step},{step},400,300,1" for step in (1, 2)]
    (tmp_path / "metrics.csv").write_text("\n".join(lines))
    titles = []
    draw = report._draw_curve
    monkeypatch.setattr(
        report, "_draw_curve", lambda axis, *a: (draw(axis, *a), titles.append(axis.get_title()))
    )
    assert report.plot_curves(tmp_path).is_file()
    assert titles == [
        "train/loss",
        "val/alone_by_frame",
        "val/jitter, 10² m/s³ (dashed: truth)",
        "val/mpjpe, cm ↓",
    ]


def test_a_comparison_warns_of_runs_that_were_treated_differently():
    rows = [{"clip": f"c{i}", "frames": "10", "mpjpe": str(i)} for i in range(3)]
    comparison = compare_tables({"a": rows, "b": rows})
    same = markdown(replace(comparison, settings=("reach: no", "reach: no")))
    assert same.endswith("Settings: reach: no")
    different = markdown(replace(comparison, settings=("reach: no", "reach: yes")))
    assert "treated differently" in different and different.endswith("- a: reach: no\n- b: reach: yes")


def test_a_folder_without_evaluations_is_named(tmp_path, capsys):
    (tmp_path / "metrics.json").write_text("{}")  # of a training run
    assert compare.main([str(tmp_path)]) == 2
    assert "no evaluation" in capsys.readouterr().err
