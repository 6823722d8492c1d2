"""Evaluate a checkpoint: python evaluate.py model=...; --help states more."""

from typing import Any

from cli.launch import launch


def main(config: Any) -> Any:
    """Do what a configuration describes; `cli.compose.compose_config` makes one."""
    from cli.evaluate import evaluate

    return evaluate(config)


if __name__ == "__main__":
    launch("evaluate")
