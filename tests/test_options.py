"""Options as people type them: values, types, names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from contrapposto.errors import ConfigError, nearest
from contrapposto.options import build, check_options, parse_value


class Example:
    def __init__(
        self,
        count: int = 1,
        rate: float = 0.5,
        name: str | None = None,
        kinds: Sequence[str] = (),
        mode: Literal["fast", "exact"] = "fast",
        place: Path | None = None,
    ) -> None:
        self.count, self.rate, self.name, self.kinds, self.mode, self.place = (
            count,
            rate,
            name,
            kinds,
            mode,
            place,
        )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 0.001),
        ("true", True),
        ("null", None),
        ("[walk,sit down]", ["walk", "sit down"]),
        ("{count:3,name: x}", {"count": 3, "name": "x"}),
        ("walk (final) [v2], {3}.npz", "walk (final) [v2], {3}.npz"),
        ("a: b", "a: b"),
        ("it's.npz", "it's.npz"),
        ("#1.npz", "#1.npz"),
        ("$HOME", "$HOME"),
        ("back\\slash\\", "back\\slash\\"),
        ("'3'", "3"),
        ("", ""),
    ],
)
def test_values_as_typed(text, value):
    assert parse_value(text) == value


@pytest.mark.parametrize("name", ["[a, b]", "12", "true", "{x: 1}"])
def test_a_file_of_that_name_is_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert parse_value(name) != name
    Path(name).write_text("x")
    assert parse_value(name) == name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": "many"}, ["count=many", "a whole number"]),
        ({"count": 1.5}, ["count=1.5", "a whole number"]),
        ({"count": True}, ["count=True"]),
        ({"rate": "hot"}, ["rate=hot", "a number"]),
        ({"kinds": "npz"}, ["kinds=npz", "a list of text"]),
        ({"kinds": [1]}, ["kinds=[1]"]),
        ({"mode": "quick"}, ["mode=quick", "fast, exact"]),
        ({"name": 3}, ["name=3", "text or null"]),
        ({"cuont": 3}, ["no option task.cuont", "count"]),
    ],
)
def test_wrong_values_are_refused_with_the_type(options, words):
    with pytest.raises(ConfigError) as caught:
        check_options(Example, options, "task.")
    for word in words:
        assert word in str(caught.value)


def test_right_values_pass():
    check_options(
        Example,
        {
            "count": 2,
            "rate": 1,
            "name": "x",
            "kinds": ["a"],
            "mode": "exact",
            "place": "a/b",
            "_partial_": True,
        },
    )


def test_objects_are_built_from_the_inside():
    node = {"_target_": "tests.test_options.Example", "count": 4, "name": None}
    assert build(node).count == 4
    outer = {"_target_": "builtins.dict", "inner": node, "later": {**node, "_partial_": True}}
    result = build(outer)
    assert result["inner"].count == 4 and result["later"](rate=2.0).rate == 2.0


def test_a_missing_class_is_one_clear_error():
    with pytest.raises(ConfigError, match="no_such_module"):
        build({"_target_": "no_such_module.Thing"})


def test_a_name_that_is_like_none_is_answered_by_groups_of_names():
    known = ["seed", "module.network.width", "module.loss", "data.name"]
    assert nearest("modul.loss", known) == "module.loss"
    assert nearest("output", known) == "data, module or seed"
