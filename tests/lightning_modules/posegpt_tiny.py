"""Command lines of PoseGPT's models at a tiny size."""

from tests.lightning_modules.sage_tiny import entry_point, only_run

__all__ = ["MODELS", "entry_point", "only_run", "tiny"]

OPTIONS = {
    "posegpt_vqvae": (
        "module.network={hidden:32,num_layers:[0,1],heads:2,num_books:2,num_codes:32,code_dim:16,dropout:0}",
        "module.vertices={frame_share:0.25,num_vertices:64}",
        "module.start_from_mean=true",
        "module.quantize_after=3",
        "module.eval_vertex_period=16",
    ),
    "posegpt_gpt": ("module.network={width:32,num_layers:1,heads:2,block_size:33,dropout:0}",),
    "posegpt_classifier": (
        "module.network={width:32,num_layers:1,heads:2,dropout:0}",
        "module.exclusive=true",
    ),
}
MODELS = tuple(OPTIONS)


def tiny(model, stores, runs, *more):
    """A command line."""
    shared = (
        "data=amass",
        "data.name=tiny",
        "data.skeleton=smpl22",
        "data.heading=canonical",
        "data.window=32",
        "data.batch_size=8",
        "data.steps_per_epoch=4",
        "data.val_share=0.3",
        "data.test_share=0.3",
        "optimizer.lr=0.003",
        "trainer.max_epochs=2",
        "trainer.accelerator=cpu",
        "trainer.log_every_n_steps=1",
        "callbacks.media=null",
        "logger=csv",
        f"paths.stores={stores}",
        f"paths.runs={runs}",
    )
    inputs = {o.partition("=")[0]: o for o in (*shared, *OPTIONS[model], *more)}
    return [f"model={model}", *inputs.values()]
