"""Use a model, or a tool of the suite, on your own files."""

from cli.launch import open_door

HELP = """
Use a model on your own files.

  python predict.py task=sage_reconstruct input=clip.npz output=out/    a clip through the two SAGE VQ-VAEs
  python predict.py task=convert input=walk.bvh output=out/             a motion file into npz, bvh, glb and mp4

  python predict.py task=sage_track input=log.txt output=out/           head and hands (Quest log, .csv, clip) to a body
  python predict.py task=sage_track input=udp://127.0.0.1:9000          the same live, in the browser (docs/live.md)
  python predict.py task=posegpt_sample action=walk frames=120 count=8   motion from an action
  python predict.py task=posegpt_sample action="[walk,sit down]" frames=[90,60]   one action after the other
  python predict.py task=posegpt_forecast past=clip.npz action=walk      what may follow a clip
  python predict.py task=sage_export input=sage_student output=out/     a trained tracker as an ONNX file

  python predict.py task=npr_transfer source=walk.npz target=mine.glb   motion, or poses of any mesh, on any other mesh
  python predict.py task=npr_generate count=50 target=mine.glb          poses that nobody made
  python predict.py task=npr_evaluate source=stores/smpl_poses          transfers against their truth (docs/npr.md)

  python predict.py task=scail_pose video=clip.mp4 reference=character.png   people as a pose video (docs/scail_pose.md)

  python predict.py pipeline=video_to_avatar video=clip.mp4             several tasks after each other (docs/chains.md)

Options:
  input=FILE            .npz (AMASS), .bvh, .amc       output=FOLDER     created where needed
  task.upper=, task.lower=   (sage_reconstruct) other checkpoints than the best runs'
  task.checkpoint=, task.steps=, task.height=   (sage_track) and more: see configs/task/sage_track.yaml
  seed=, ckpt=, task.temperature=, task.top_k=   (posegpt_...) and more: see configs/task/posegpt_sample.yaml
  task.formats=[npz,glb]   which files to write
"""


def main(config):  # noqa: ANN001, ANN201, D103
    from contrapposto.tasks.base import predict

    predict(config)


if __name__ == "__main__":
    open_door("predict", main, HELP)
