"""Names that commands in pages may use."""

from cli.compose import groups
from contrapposto.tasks.predict import chain_names, task_names


def known_names() -> dict[str, set[str]]:
    """Options of the config groups, tasks and chains."""
    names = {group: set(options) for group, options in groups().items()}
    names["task"] = {*names.get("task", ()), *task_names()}
    names["pipeline"] = {*names.get("pipeline", ()), *chain_names()}
    return names
