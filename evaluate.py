"""Evaluate a checkpoint: metrics, per-clip tables, pictures and videos."""

from cli.launch import open_door

HELP = """
Evaluate a checkpoint on stretches it has not seen.

  python evaluate.py model=sage_upper_vqvae                the model's best run so far (on data=demo)
  python evaluate.py model=sage_upper_vqvae data=amass     the best run on that store
  python evaluate.py ckpt=runs/sage_upper_vqvae/...        a checkpoint or run directory; it knows its own configuration
  python evaluate.py model=... official=outputs            the authors' weights: their unpacked folder, or a file
  python evaluate.py model=sage_ik data=...                a baseline that has nothing to train
  python -m cli.compare runs/...                         several evaluations side by side, as markdown

Options:
  stage=test            test or val                        data=         another store
  report=true           one page with figures, curves, tables, videos and where they come from (docs/report.md)
"""


def main(config):  # noqa: ANN001, ANN201, D103
    from cli.evaluate import evaluate

    evaluate(config)


if __name__ == "__main__":
    open_door("evaluate", main, HELP)
