"""A worker that looks at uploads as the real one does, and does with a video what a word behind its end says.

crash   dies of a fault, as a decoder does
hang    never ends, starts a child, and takes no notice of SIGTERM
fault   makes an error of its own
slow    takes a second
(none)  gives back the video's own bytes
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from contrapposto.systems.scail_pose.service import worker

WORDS = (b"crash", b"hang", b"fault", b"slow")


def make(request, progress):
    progress(0.25, "people")
    video, output = Path(request["video"]), Path(request["output"])
    word = next((word for word in WORDS if video.read_bytes().endswith(word)), b"")
    (output / ".half.partial.mp4").write_bytes(b"half")
    if word == b"crash":
        os.abort()
    if word == b"fault":
        raise RuntimeError(f"a secret about {video}")
    if word == b"hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with subprocess.Popen(["sleep", "1000"]) as child:
            child.wait()
    time.sleep(1 if word == b"slow" else 0)
    (output / ".half.partial.mp4").unlink()
    shutil.copyfile(video, output / "rendered.mp4")
    return {"files": ["rendered.mp4"], "frames": 1, "people": 1, "warnings": []}


worker.make = make
worker.main()
