"""Prepare a store of motion from a corpus: checked first, in parallel, resumable at any moment."""

from cli.launch import open_door

HELP = """
Prepare motion for training: raw files -> stores/<name>/ (docs/data.md describes the store).

  python prepare.py data=demo                    the shipped CMU clips and labelled clips from the generator; no download
  python prepare.py data=cmu                     CMU motion capture, downloaded from its official place
  python prepare.py data=bandai raw=FOLDER       a local copy of the Bandai-Namco corpus
  python prepare.py data=amass raw=FOLDER        your AMASS download

  python prepare.py data=anerf_scene             a clothed figure before known cameras, for A-NeRF; no download
  python prepare.py data=anerf_h5 raw=FILE.h5    an A-NeRF training file
  python prepare.py data=anerf_video raw=VIDEO.mp4 poses=POSES.npz masks=FOLDER      a video of your own

All input is checked before work starts. Killed at any moment, the same command goes on where it
was and ends with the same store. Files that cannot be used are listed with the reason.

Options:
  raw=FOLDER            where the corpus lies          data.name=NAME    another name for the store
  workers=2             processes                      force=true        prepare again
  launcher=ray|slurm_array                             clips converted on a cluster (docs/growth.md)
  data.options.NAME=    options of the recipe (see configs/data)
"""


def main(config):  # noqa: ANN001, ANN201, D103
    from cli.prepare import prepare

    prepare(config)


if __name__ == "__main__":
    open_door("prepare", main, HELP)
