"""Train a model, or all stages of a system: python train.py model=...; --help states more."""

from typing import Any

from cli.launch import launch


def main(config: Any) -> Any:
    """Do what a configuration describes; `cli.compose.compose_config` makes one."""
    from cli.train import train

    return train(config)


if __name__ == "__main__":
    launch("train")
