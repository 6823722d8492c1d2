"""Use a model, or a tool of the suite, on your own files."""

from doors.launch import open_door

HELP = """
Use a model on your own files.

  python predict.py task=sage_reconstruct input=clip.npz output=out/    a clip through the two SAGE VQ-VAEs
  python predict.py task=convert input=walk.bvh output=out/             a motion file into npz, bvh, glb and mp4

Options:
  input=FILE            .npz (AMASS), .bvh, .amc       output=FOLDER     created where needed
  task.upper=, task.lower=   (sage_reconstruct) other checkpoints than the best runs'
  task.formats=[npz,glb]   which files to write
"""


def main(config):  # noqa: ANN001, ANN201, D103
    from doors.prediction import predict

    predict(config)


if __name__ == "__main__":
    open_door("predict", main, HELP)
