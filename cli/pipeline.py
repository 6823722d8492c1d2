"""All stages of a system in order; a stage whose run exists is skipped; each runs in a process of its own."""

from __future__ import annotations

from omegaconf import DictConfig

from cli.plan import carry_out, plan_models, show, typed_own
from contrapposto.errors import ConfigError, MissingError
from contrapposto.runs import Result


def run_pipeline(config: DictConfig) -> Result | None:
    """Run every stage of `config.stages` that has no finished run of the same configuration yet.

    Each stage is `train.py model=STAGE` with the command line's other options; an interrupted one is resumed. A process
    per stage frees all memory between stages and lets Lightning start several devices for one.

    Returns:
        The run of the last stage.

    Raises:
        ConfigError: `model=` or `resume=` beside it. ContrappostoError: a stage failed.
    """
    if typed_own(config):
        raise ConfigError("pipeline= names the models itself.", fix="leave model= and resume= out")
    steps = plan_models(config, list(config.stages), strict=True)
    print(show(steps), flush=True)
    missing = [step.name for step in steps if step.finished is None]
    if config.requires == "plan":
        return None
    if config.requires == "fail" and any(step.kind == "prepare" for step in steps):
        raise MissingError(
            f"This pipeline needs {missing[0]} first.", fix=f"python {' '.join(steps[0].command)}"
        )
    results = carry_out(config, steps)
    return results[-1] if results else None
