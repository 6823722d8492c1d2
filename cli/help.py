"""The help texts of the entry points."""

HELP = {
    "train": """
Train a model on prepared data, or all stages of a system in order.

  python train.py model=sage_first                         data and earlier stages that are missing come first
  python train.py model=sage_upper_vqvae data=amass        on another store
  python train.py pipeline=sage_vqvae                      all stages; finished ones are skipped
  python train.py model=... resume=true                    continue an interrupted run
  python train.py model=... init_from=CKPT                 fine-tune
  python train.py model=... trainer=ddp trainer.devices=8  many devices; data.batch_size stays the global one
  python train.py -m model=... optimizer.lr=1e-4,2e-4      a sweep
  python train.py model=... trainer.fast_dev_run=true      one batch of everything

Options:
  model= or pipeline=   what to train                experiment=   a named set of options
  data=                 which store                  logger=       wandb (offline unless asked), csv, tensorboard, mlflow
  optimizer=, scheduler=   and their options: optimizer.lr=1e-4, scheduler.warmup_steps=100
  requires=train        what is missing first: train (make it), plan (print it and stop), fail (stop, naming commands)
  seed=10               everything random is keyed by seed, step and sample
  trainer.NAME=         any argument of Lightning's Trainer (max_steps, precision, devices, ...)
""",
    "evaluate": """
Evaluate a checkpoint on held-out data.

  python evaluate.py model=sage_upper_vqvae                the model's best run so far (on data=demo)
  python evaluate.py model=sage_upper_vqvae data=amass     the best run on that store
  python evaluate.py ckpt=runs/sage_upper_vqvae/...        a checkpoint or run directory with its own configuration
  python evaluate.py runs=[RUN,RUN,...]                    several runs in one table, with confidence intervals
  python evaluate.py model=... official=outputs            the authors' weights: their unpacked folder, or a file
  python evaluate.py model=sage_ik data=...                a baseline that has nothing to train
  python -m cli.compare runs/...                           finished evaluations side by side, as markdown

Options:
  stage=test            test or val                        data=         another store
  report=true           one page with figures, curves, tables, videos and their origin (docs/report.md)
""",
    "prepare": """
Prepare data for training: raw files -> stores/<name>/ (docs/data.md describes the store).

  python prepare.py data=demo                    the shipped CMU clips and synthetic labelled clips; no download
  python prepare.py data=cmu                     CMU motion capture, downloaded from its official place
  python prepare.py data=bandai raw=FOLDER       a local copy of the Bandai-Namco corpus
  python prepare.py data=amass raw=FOLDER        your AMASS download

  python prepare.py data=anerf_scene             a clothed figure before known cameras, for A-NeRF; no download
  python prepare.py data=anerf_h5 raw=FILE.h5    an A-NeRF training file
  python prepare.py data=anerf_video raw=VIDEO.mp4 poses=POSES.npz masks=FOLDER      a video of your own

All input is checked before work starts. If the process is killed, the same command continues and produces the same
store. Unusable files are listed with the reason.

Options:
  raw=FOLDER            where the corpus lies          data.name=NAME    another name for the store
  workers=2             processes                      force=true        prepare again
  launcher=ray|slurm_array                             clips converted on a cluster (docs/growth.md)
  data.options.NAME=    options of the recipe (see configs/data)
""",
}
