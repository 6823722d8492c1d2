"""Prepare a store of training data: python prepare.py data=...; --help states more."""

from typing import Any

from cli.launch import launch


def main(config: Any) -> Any:
    """Do what a configuration describes; `cli.compose.compose_config` makes one."""
    from cli.prepare import prepare

    return prepare(config)


if __name__ == "__main__":
    launch("prepare")
