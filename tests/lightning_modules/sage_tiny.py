"""Command lines of every model of SAGE at a tiny size, and the entry points in this process."""

from pathlib import Path

VQVAE = (
    "module.network.num_layers=[1,1]",
    "module.network.hidden=32",
    "module.network.heads=4",
    "module.network.num_books=4",
    "module.network.num_codes=64",
    "module.network.code_dim=32",
)
LATER = (
    "sage.latent=32",
    "sage.diffusion={width:32,heads:2,layers:2}",
    "sage.decoder={hidden:32,heads:2,layers:2,dropout:0}",
    "sage.refiner={layers:2,hidden:16}",
)
OPTIONS = {
    "sage_upper_vqvae": VQVAE,
    "sage_lower_vqvae": VQVAE,
    "sage_first": LATER,
    "sage_second": LATER,
    "sage_decoder": (*LATER, "module.epochs_alone=1"),
    "sage_refiner": (*LATER, "data.batch_size=4", "data.repeats=2", "data.sequence=60"),
    "sage_student": (
        "module.network={width:32,layers:2}",
        "scheduler.warmup_steps=0",
        "module.loss_weights=[0.5,1,5,2,30,5,0.05]",  # the tiny teacher is far from the truth
        "data.batch_size=4",
        "data.repeats=2",
        "data.sequence=60",
    ),
    "sparse_transformer": ("module.network={width:32,heads:2,layers:2,dropout:0}", "data.window=40"),
    "tracker": (
        "module.network={width:32}",
        "module.warmup_frames=2",
        "data.batch_size=4",
        "data.repeats=2",
        "data.sequence=40",
        "scheduler.warmup_steps=0",
    ),
    "sage_ik": (),
}
TRAINED = tuple(OPTIONS)[:-1]
BODY_MODELS = TRAINED[2:]


def tiny(model, stores, runs, *more):
    """A command line."""
    shared = (
        "data=amass",
        "data.name=tiny",
        "data.batch_size=16",
        "data.repeats=6",
        "data.val_share=0.2",
        "data.test_share=0.2",
        "trainer.max_epochs=2",
        "trainer.accelerator=cpu",
        "trainer.log_every_n_steps=1",
        "callbacks.media=null",
        "logger=csv",
        f"paths.stores={stores}",
        f"paths.runs={runs}",
    )
    inputs = {o.partition("=")[0]: o for o in (*shared, *OPTIONS.get(model, ()), *more)}
    return [f"model={model}", *inputs.values()]


def entry_point(name, arguments):
    """What `python <name>.py <arguments>` does, in this process."""
    from cli import evaluate as evaluation
    from cli import train as training
    from cli.compose import compose_config

    config = compose_config(name, arguments)
    return (training.train if name == "train" else evaluation.evaluate)(config)


def only_run(runs, model):
    (run,) = sorted((Path(runs) / model).glob("*/"))
    return run
