"""The paper's three settings as experiments: options per stage, lists found or missed before work starts."""

import json

import numpy as np
import pytest

from cli.build import build_datamodule
from cli.launch import compose_config
from cli.preflight import preflight
from contrapposto.data.prepare import prepare
from contrapposto.errors import ConfigError, MissingError
from contrapposto.io.amass import write_amass
from contrapposto.synthetic import generate

SUBSETS = ("CMU", "BioMotionLab_NTroje", "MPI_HDM05", "HumanEva", "Transitions_mocap", "DanceDB")
STAGES = ("sage_upper_vqvae", "sage_lower_vqvae", "sage_first", "sage_second", "sage_decoder", "sage_refiner")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A store of made clips under AMASS names, five per subset, and split lists beside it."""
    folder = tmp_path_factory.mktemp("settings")
    for index, subset in enumerate(SUBSETS):
        for number in range(5):
            path = folder / "raw" / subset / f"s{number}" / f"clip{number}_poses.npz"
            path.parent.mkdir(parents=True)
            # Each of its own: clips of equal content are stored once.
            write_amass(path, generate("walk", seconds=0.5, seed=10 * index + number))
    prepare("amass", output=folder / "stores" / "amass", raw=folder / "raw", workers=1)
    (folder / "lists").mkdir()
    for subset in SUBSETS[:3]:
        lines = [f"{subset}/s{number}/clip{number}_poses.npz\n" for number in range(5)]
        (folder / "lists" / f"{subset}_train.txt").write_text("".join(lines[:4]))
        (folder / "lists" / f"{subset}_test.txt").write_text("".join(lines[4:]))
    return folder


def compose(model, experiment, world, *more):
    arguments = [f"model={model}", f"experiment={experiment}", "data=amass", "trainer.accelerator=cpu"]
    return compose_config("train", [*arguments, f"paths.stores={world}/stores", f"paths.runs={world}", *more])


def split_of(config):
    from contrapposto.data.store import MotionStore

    datamodule = build_datamodule(config)
    datamodule.store = MotionStore.open(datamodule.store_path)
    split = datamodule._split()
    names = np.array([clip.name for clip in datamodule.store.clips])
    return names[np.concatenate([split.train, split.val])], names[split.test]


def test_setting_1_is_split_by_the_lists(world):
    config = compose("sage_first", "sage_s1", world, f"data.lists={world}/lists", "data.val_share=0.3")
    preflight(config)
    train, test = split_of(config)
    assert sorted(test) == [f"{s}/s4/clip4_poses.npz" for s in ("BMLrub", "CMU", "HDM05")]
    assert len(train) == 12 and {name.split("/")[0] for name in train} == {"BMLrub", "CMU", "HDM05"}


def test_setting_2_is_split_by_subsets(world, capsys):
    config = compose("sage_first", "sage_s2", world, "data.val_share=0.3")
    preflight(config)
    train, test = split_of(config)
    # three of the twelve subsets for training are there
    assert (
        "data.train_list: 3 of 12 lines match 15 clips of the store, not ACCAD/*" in capsys.readouterr().out
    )
    assert len(test) == 10 and {name.split("/")[0] for name in test} == {"HumanEva", "Transitions"}
    assert len(train) == 15 and {name.split("/")[0] for name in train} == {"BMLrub", "CMU", "HDM05"}


def test_setting_3_is_split_by_names(world):
    train, test = split_of(
        compose("sage_first", "sage_s3", world, "data.test_share=0.3", "data.val_share=0.3")
    )
    assert len(train) + len(test) == 30 and 2 < len(test) < 18


def test_missing_lists_are_said_before_work_starts(world):
    with pytest.raises(ConfigError, match="splits by the official lists") as caught:
        preflight(compose("sage_first", "sage_s1", world))
    assert caught.value.fix == "add data.lists=FOLDER"
    with pytest.raises(MissingError, match=r"CMU_train\.txt"):
        preflight(compose("sage_first", "sage_s1", world, f"data.lists={world}/raw"))
    with pytest.raises(MissingError, match=r"data\.body"):
        preflight(compose("sage_first", "sage_s3", world, "data.body=/absent/model.npz"))


# batch, epochs (SAGE sheet, section 3)
SCHEDULE = {
    "sage_upper_vqvae": (512, 40),
    "sage_lower_vqvae": (512, 40),
    "sage_first": (400, 51),
    "sage_second": (512, 41),
    "sage_decoder": (300, 12),
    "sage_refiner": (1, 18),
}


@pytest.mark.parametrize("experiment", ["sage_s1", "sage_s2", "sage_s3"])
def test_stages_have_the_papers_sizes(experiment, world):
    for model in STAGES:
        config = compose(model, experiment, world, f"data.lists={world}/lists")
        assert (config.data.batch_size, config.trainer.max_epochs) == SCHEDULE[model]
        assert config.experiment_name == experiment and config.data.repeats == 500
        if model.endswith("vqvae"):
            assert config.module.network.num_layers == ([4, 4] if experiment == "sage_s1" else [6, 6])
    assert config.module.network.layers == (3 if experiment == "sage_s3" else 2)


def test_the_official_lists_resolve(shared_data, world):
    """Of the real lists every line names a clip of a store that has their names, under another alias."""
    from contrapposto.data.names import canonical_name
    from contrapposto.data.splits import list_lines, match_list
    from contrapposto.data.store import MotionStore

    folder = shared_data / "splits" / "sage"
    config = compose("sage_first", "sage_s1", world, f"data.lists={folder}")
    preflight(config)
    example = MotionStore.open(world / "stores" / "amass").clips[0]
    counts = {}
    for key in ("train_list", "test_list"):
        lines = list_lines(list(config.data[key]))
        names = [canonical_name(world / line, world) for line in lines]
        clips = [type(example)(**{**vars(example), "name": name}) for name in names]
        match = match_list(clips, lines)
        counts[key] = len(match.indices)
        assert not match.missing
    assert json.dumps(counts) == '{"train_list": 4814, "test_list": 536}'
