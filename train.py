"""Train a model, or all stages of a system, from one command line."""

from cli.launch import open_door

HELP = """
Train a model on prepared motion, or all stages of a system in order.

  python train.py model=sage_upper_vqvae                   on the demo data (python prepare.py data=demo)
  python train.py model=sage_upper_vqvae data=amass        on another store
  python train.py pipeline=sage_vqvae                      all stages; finished ones are skipped
  python train.py model=... resume=true                    go on where a killed run stopped
  python train.py model=... init_from=CKPT                 fine-tune
  python train.py model=... trainer=ddp trainer.devices=8  many devices; data.batch_size stays the global one
  python train.py -m model=... module.learning_rate=1e-4,2e-4   a sweep
  python train.py model=... trainer.fast_dev_run=true      one batch of everything

Options:
  model= or pipeline=   what to train                experiment=   a named set of options
  data=                 which store                  logger=       wandb (offline unless asked) or csv
  seed=10               everything random is keyed by seed, step and sample
  trainer.NAME=         any argument of Lightning's Trainer (max_steps, precision, devices, ...)
"""


def main(config):  # noqa: ANN001, ANN201, D103
    from cli.train import train

    train(config)


if __name__ == "__main__":
    open_door("train", main, HELP)
