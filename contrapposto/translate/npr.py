"""Commands of NPR (docs/specs/npr.md, section 11)."""

from __future__ import annotations

from contrapposto.translate.grammar import Arguments, Command, Option, unused, used

_DEVICE = Option("trainer.accelerator={}", turn=lambda value: {"cuda": "gpu"}.get(value, value))


def _test(arguments: Arguments) -> list[list[str]]:
    source = arguments.get("train-dset-cfg-file", "SOURCE.json")
    target = arguments.get("test-dset-cfg-file", "TARGET.json")
    experiment = arguments.get("exp-dir", "EXPERIMENT")
    output = f"output=out/{arguments.get('tag', 'default_test')}"
    words = [
        "task=npr_transfer",
        f"source={source}",
        f"target={target}",
        f"ckpt={experiment}",
        "task.formats=[obj]",
    ]
    return [
        ["contrapposto", "predict", *words, "task.align=false", "task.rigid=0", "task.place=origin", output]
    ]


def _train(arguments: Arguments) -> list[list[str]]:
    raw = arguments.get("train-dset-cfg-file", "TRAIN.json")
    prepare = ["python", "prepare.py", "data=npr_meshes", f"raw={raw}"]
    train = ["python", "train.py", "model=npr", "data=npr_meshes", "data.test_share=0"]
    if arguments.get("use-poisson", "True").lower() in ("false", "0"):
        train += ["module.jacobian_weight=1", "module.vertex_weight=0"]
    return [prepare, train]


COMMANDS = (
    Command(
        "NPR",
        "test.py",
        {
            "train-dset-cfg-file": used(),
            "test-dset-cfg-file": used(),
            "exp-dir": used(),
            "tag": used(),
            "device-type": unused("transfers run on the CPU, in about a second each"),
            "seed": unused("a transfer draws nothing"),
        },
        _test,
        (
            "task.align=false and task.place=origin reproduce the original; the defaults align targets and keep their place.",
        ),
    ),
    Command(
        "NPR",
        "train.py",
        {
            "train-dset-cfg-file": used(),
            "test-dset-cfg-file": unused("targets are chosen at prediction: target=TARGET.json"),
            "out-dir": Option("paths.runs={}", "runs are stored as OUT-DIR/npr/TIME"),
            "device-type": _DEVICE,
            "dset-type": unused("it has no effect in the original"),
            "use-poisson": used(),
            "seed": Option("seed={}"),
            "lr": Option("optimizer.lr={}"),
            "batch-size": Option("data.batch_size={}"),
            "shuffle": unused("training poses are always drawn in random order"),
            "n-epoch": Option("trainer.max_epochs={}"),
            "test-every": Option("trainer.check_val_every_n_epoch={}"),
            "n-test-sample": unused(
                "validation takes data.max_val_poses held-out poses; data.test_share=0 leaves none"
            ),
            "save-every": unused("the best, the last and the previous checkpoint are kept"),
            "wandb-grp": unused("it has no effect in the original; see docs/wandb.md"),
        },
        _train,
        ("A run that was interrupted continues with resume=true.",),
    ),
)
