"""Command lines of the lifter at a tiny size."""

MODEL = "scail_lifter"


def tiny(model, stores, runs, *more):
    shared = (
        "data=amass",
        "data.name=tiny",
        "data.batch_size=8",
        "data.window=8",
        "data.steps_per_epoch=4",
        "data.val_share=0.3",
        "data.test_share=0.3",
        "module.network={width:24,heads:2,layers:1}",
        "optimizer.lr=0.003",
        "scheduler.warmup_steps=0",
        "trainer.max_epochs=2",
        "trainer.accelerator=cpu",
        "trainer.log_every_n_steps=1",
        "logger=csv",
        f"paths.stores={stores}",
        f"paths.runs={runs}",
    )
    inputs = {o.partition("=")[0]: o for o in (*shared, *more)}
    return [f"model={model}", *inputs.values()]
