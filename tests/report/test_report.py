"""Reports: what stands in them, what damaged runs do to them, and that they ask nobody for anything."""

from __future__ import annotations

import csv
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from filelock import FileLock
from PIL import Image

from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.report import page, write_comparison, write_report
from contrapposto.report.__main__ import main
from contrapposto.report.charts import line_chart, show, strip_chart, thinned, tick_labels
from contrapposto.report.columns import family_of, split_name, title_of
from contrapposto.report.runs import find_runs, read_run

EVIL = '<script>alert("x")</script>&\'"'
_VOID = {"meta", "link", "img"}


class Checked(HTMLParser):
    """Fails on tags that are not closed in order; keeps what a test asks about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:])
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.text += data


def checked(path: Path) -> Checked:
    """A page that parses, and that refers to nothing outside itself."""
    text = path.read_text(encoding="utf-8")
    actual = Checked(text)
    for tag, attributes in actual.tags:
        for name in ("src", "href", "data", "action", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:"), (tag, name, value)
    assert "url(" not in text and "@import" not in text
    assert not re.search(r"https?://(?!mocap)", re.sub(r"<dd>.*?</dd>", "", text))
    assert any(a.get("http-equiv") == "Content-Security-Policy" for _, a in actual.tags)
    assert sum(tag == "script" for tag, _ in actual.tags) == 1
    return actual


def make_run(
    runs: Path,
    model: str = "m",
    time: str = "2026-01-01_00-00-00",
    *,
    score: float | None = 2.0,
    rows: int = 30,
) -> Path:
    """A finished training run; without a score one that was killed."""
    run = runs / model / time
    run.mkdir(parents=True)
    (run / ".lock").touch()
    settings = {"name": model, "data": {"name": "demo"}, "experiment_name": "small"}
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    with open(run / "metrics.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "train/loss", "epoch", "val/mpjpe"])
        for step in range(rows):
            writer.writerow([step, 1 / (step + 1), 0, 5.0 - step / 20 if step % 5 == 0 else ""])
    provenance = {
        "status": "running",
        "command": ["train.py", f"model={model}"],
        "seed": 10,
        "git": {"commit": "abcdef0123456789", "dirty": True},
        "data": {"licence": "CC0-1.0", "source": "made"},
        "parameters": 1234567,
    }
    if score is not None:
        provenance |= {"status": "finished", "steps": rows, "seconds": 100.5}
        result = {"model": model, "experiment": "small", "data": {"name": "demo"}}
        result |= {"monitor": "val/mpjpe", "mode": "min", "score": score}
        (run / "result.json").write_text(json.dumps(result))
    (run / "provenance.json").write_text(json.dumps(provenance))
    return run


SETTINGS = {"finishing": "one-euro filter (2 Hz, response 4), no reach, floor at 0 m"}


def make_evaluation(run: Path, name: str = "m", clips: int = 6, **more: object) -> Path:
    folder = run / "evaluation" / "demo-test"
    (folder / "media").mkdir(parents=True)
    settings = {"name": name, "stage": "test", "data": {"name": "demo"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    values = {"test/mpjpe": 3.5, "test/jitter": 655.0, "test/true_jitter": 400.0, "test/odd": 0.25}
    entry = {"metrics": {**values, **more}, "by_frame": {"test/mpjpe": 3.75}, "clips": clips, "frames": 600}
    (folder / "metrics.json").write_text(
        json.dumps({"test": {**entry, "weights": "checkpoint", "options": [], "settings": SETTINGS}})
    )
    with open(folder / "media" / "clips_test.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip", "frames", "mpjpe", "jitter"])
        writer.writerows([f"clip {n}", 100, 1.0 + n, 600.0 + n] for n in range(clips))
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "media" / "picture.png")
    return folder


def test_an_evaluation_in_one_page(tmp_path: Path) -> None:
    folder = make_evaluation(make_run(tmp_path))
    path = write_report(folder)
    assert path == folder / "report.html"
    actual = checked(path)
    row = re.search(r"<tr><td>MPJPE ↓</td>(.*?)</tr>", path.read_text())
    assert row
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row[1])
    half = 1.96 * np.std(1.0 + np.arange(6), ddof=1) / math.sqrt(6)
    assert cells == ["3.5", f"{half:.3f}".rstrip("0"), "3.75", "1", "6", "", "cm"]
    assert "6.55" in actual.text and "truth 4" in actual.text and "10² m/s³" in actual.text  # jitter, scaled
    assert "odd" in actual.text and "0.25" in actual.text
    assert SETTINGS["finishing"] in actual.text
    for said in (
        "python train.py model=m",
        "abcdef0123456789, with changes",
        "CC0-1.0",
        "1,234,567",
        "100.5 s",
    ):
        assert said in actual.text, said
    assert sum(tag == "svg" for tag, _ in actual.tags) == 2 + 2  # two strips, two curves
    assert any(
        tag == "img" and (a["src"] or "").startswith("data:image/png;base64,") for tag, a in actual.tags
    )
    assert "clip 5" in actual.text


def test_what_is_too_large_is_named_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_evaluation(make_run(tmp_path))
    for name in ("a", "b", "c"):
        (folder / "media" / f"{name}.mp4").write_bytes(b"x" * 1000)
    (folder / "media" / "large.mp4").write_bytes(b"x" * 3000)
    (folder / "media" / "empty.mp4").touch()
    monkeypatch.setattr(page, "FILE_LIMIT", 2000)
    monkeypatch.setattr(page, "PAGE_LIMIT", 2500)
    actual = checked(write_report(folder))
    assert sum(tag == "video" for tag, _ in actual.tags) == 2
    said = re.search(r"Left out: (.*)", actual.text)
    assert said and all(name in said[1] for name in ("c.mp4", "large.mp4", "empty.mp4 (empty)"))


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    folder = make_evaluation(
        run, **{"test/mpjve": None, "test/hand": float("nan"), "test/root": float("inf")}
    )
    with open(folder / "media" / "clips_test.csv", "a", newline="") as file:
        csv.writer(file).writerows([["bad", 100, "nan", "inf"], ["short", 100], ["odd", "x", "y", "z"]])
    with open(run / "metrics.csv", "a", newline="") as file:
        csv.writer(file).writerows([[30, "nan", 0, "inf"], [31, "0.5", 0, ""]])
    path = write_report(folder)
    actual = checked(path)
    assert actual.text.count("not finite") >= 5 and "train/loss (1 not finite)" in actual.text
    assert "NaN" not in path.read_text() and "nan" not in re.sub(r"base64,[^\"]*", "", path.read_text())
    checked(write_comparison([tmp_path], tmp_path / "all.html"))


def test_names_are_only_text(tmp_path: Path) -> None:
    model = "m<b>&\"'"
    run = make_run(tmp_path, model)
    folder = make_evaluation(run, EVIL, **{f"test/{EVIL}": 1.0})
    with open(folder / "media" / "clips_test.csv", "a", newline="") as file:
        csv.writer(file).writerow([EVIL, 100, 2.0, 500.0])
    (folder / "media" / "a<img src=x onerror=alert(1)>.png").write_bytes(
        (folder / "media" / "picture.png").read_bytes()
    )
    for path in (write_report(folder), write_comparison([tmp_path], tmp_path / "all.html")):
        actual = checked(path)
        assert "<script>alert" in actual.text  # shown, as text
        assert not any("onerror" in attributes for _, attributes in actual.tags)


def test_runs_that_ended_badly(tmp_path: Path) -> None:
    empty = tmp_path / "m" / "2026-01-02_00-00-00"
    empty.mkdir(parents=True)
    killed = make_run(tmp_path, time="2026-01-03_00-00-00", score=None)
    with open(killed / "metrics.csv", "a") as file:
        file.write("30,0.")  # killed in the middle of a write
    broken = make_run(tmp_path, time="2026-01-04_00-00-00")
    for name in ("provenance.json", "metrics.json"):
        (broken / name).write_text('{"status": "fini')
    (broken / "config.yaml").write_text("a: [1\nb: }")
    (broken / "evaluation" / "x-test").mkdir(parents=True)
    (broken / "evaluation" / "x-test" / "metrics.json").write_text("[]")
    good = make_run(tmp_path, time="2026-01-05_00-00-00", score=1.0)
    worse = make_run(tmp_path, time="2026-01-06_00-00-00", score=1.5)
    (worse / "metrics.csv").write_bytes(b"\xff\xfe\x00step,\nx,y")
    assert [read_run(f).status for f in (empty, killed, good)] == ["empty", "killed", "finished"]
    with FileLock(killed / ".lock"):
        assert read_run(killed).status == "running"
    assert len(find_runs(tmp_path)) == 5
    path = write_comparison([tmp_path], tmp_path / "all.html")
    actual = checked(path)
    for said in (
        "provenance.json cannot be read",
        "config.yaml cannot be read",
        "evaluation/x-test",
        "rows cannot",
    ):
        assert said in actual.text, said
    best = re.findall(r'<td class="best"[^>]*>(.*?)</td>', path.read_text())
    assert best == ["1"]
    with pytest.raises(InputError, match="no whole evaluation"):
        write_report(broken / "evaluation" / "x-test")
    with pytest.raises(InputError, match="no whole evaluation"):
        write_report(empty / "evaluation" / "demo-test")


def test_a_run_without_evaluation_is_compared(tmp_path: Path) -> None:
    make_run(tmp_path)
    actual = checked(write_comparison([tmp_path], tmp_path / "all.html"))
    assert "Evaluations" not in actual.text and "finished" in actual.text and "1,234,567" in actual.text


def test_curves_of_several_runs_are_laid_over_each_other(tmp_path: Path) -> None:
    for number in range(10):
        make_run(tmp_path, time=f"2026-01-01_00-00-{number:02d}", score=float(number))
    actual = checked(write_comparison([tmp_path / "m"], tmp_path / "all.html"))
    lines = [a["class"] or "" for tag, a in actual.tags if tag == "polyline"]
    assert len(lines) == 20 and sum("dashed" in line for line in lines) == 4
    assert "2026-01-01_00-00-09 (demo, small)" in actual.text


def test_lines_stand_where_the_numbers_are() -> None:
    chart = line_chart({"a": [(0, 1.0), (10, 2.0), (20, math.nan), (30, 3.0)]}, "t", "cm")
    points = re.findall(r'points="(.*?)"', chart)
    (x0, y0), (x1, y1) = ([float(v) for v in p.split(",")] for p in points[0].split())
    assert len(points) == 1 and x0 < x1 and y1 < y0  # up is more
    circle = re.search(
        r'<circle class="c0" cx="(.*?)" cy="(.*?)"', chart
    )  # after the gap: a point of its own
    assert circle and float(circle[1]) == pytest.approx(x0 + 3 * (x1 - x0), abs=0.3)
    assert float(circle[2]) == pytest.approx(y0 + 2 * (y1 - y0), abs=0.3)
    assert "1 not finite" in chart and "nothing finite" in line_chart({"a": [(0, math.nan)]}, "t")
    logarithmic = line_chart({"a": [(0, 1.0), (1, 10.0), (2, 100.0)]}, "t")
    heights = [float(p.split(",")[1]) for p in re.findall(r'points="(.*?)"', logarithmic)[0].split()]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)
    assert "<svg" in strip_chart({"x": 1.0}, "one") and "<svg" in line_chart({"a": [(5, 2.0)]}, "one point")


def test_thinning_keeps_peaks() -> None:
    values = np.sin(np.arange(5000) / 50)
    values[1234], values[4321] = 9.0, math.nan
    kept = thinned(list(enumerate(values)))
    assert len(kept) <= 300 and max(v for _, v in kept) == 9.0
    assert [s for s, _ in kept] == sorted(s for s, _ in kept)


def test_numbers_and_names() -> None:
    shown = [show(v) for v in (0.0, 1234.5, 0.00012, 3.14159, 12.0, 0.05, -2.5, math.nan, None)]
    assert shown == ["0", "1,234", "1.20e-04", "3.142", "12", "0.05", "-2.5", "not finite", "–"]
    column, group = split_name("pmd_unaligned_unseen_poses")
    assert column is not None and (column.name, group) == ("pmd_unaligned", "unseen poses")
    assert title_of("root_rotation") == "root rotation" and title_of("mine") == "mine"
    assert (
        family_of(["psnr_novel_view", "mpjpe", "ssim_novel_view"]) == "Avatars"
        and family_of(["x"]) == "Other"
    )


def test_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_evaluation(make_run(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == Path("report.html") and (tmp_path / "report.html").is_file()
    assert main(["runs", "output=x/y.html"]) == Path("x/y.html")
    assert main([str(folder)]) == folder / "report.html"
    assert main(["--help"]) is None and "output=" in capsys.readouterr().out
    (tmp_path / "none").mkdir()
    with pytest.raises(MissingError, match="no runs"):
        main(["none"])
    with pytest.raises(MissingError, match="no folder"):
        main(["nowhere"])
    with pytest.raises(ConfigError, match="outptu"):
        main(["runs", "outptu=x.html"])
    with pytest.raises(ConfigError, match="Nothing"):
        main([])


@pytest.mark.parametrize(
    ("ticks", "labels"),
    [
        ([10.25, 10.3, 10.35], ["10.25", "10.30", "10.35"]),
        ([0.0, 0.5, 1.0], ["0", "0.5", "1.0"]),
        ([2.6e-4, 3.0e-4, 3.4e-4], ["2.6e-4", "3.0e-4", "3.4e-4"]),
        ([0, 20_000, 40_000], ["0", "20k", "40k"]),
        ([0, 500_000, 1_000_000], ["0", "0.5M", "1.0M"]),
        ([-2, 0, 2], ["-2", "0", "2"]),
        ([0.001, 0.1, 10.0], ["0.001", "0.1", "10"]),
        ([5.0], ["5"]),
    ],
)
def test_tick_labels_tell_ticks_apart(ticks, labels):
    assert tick_labels(ticks) == labels


def test_labels_of_an_axis_are_close_and_different():
    generator = np.random.default_rng(0)
    for _ in range(200):
        low = generator.normal() * 10 ** generator.uniform(-6, 6)
        chart = line_chart({"a": [(0, low), (1, low + abs(low) * 10 ** generator.uniform(-4, 1))]}, "x")
        labels = re.findall(r'class="tick end">([^<]*)<', chart)
        assert len(set(labels)) == len(labels) > 1, chart
