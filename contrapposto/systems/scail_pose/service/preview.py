"""The driving video as the pipeline saw it, to be watched beside the pose video: same size, same times, any browser."""

from __future__ import annotations

from pathlib import Path

from contrapposto.render.video import VideoWriter
from contrapposto.systems.scail_pose.framing import frame_image
from contrapposto.systems.scail_pose.jobs import VideoJob
from contrapposto.video_file import VideoFile


def write_preview(job: VideoJob, path: Path, size: tuple[int, int], frames: int) -> Path:
    """Write the frames of a job as they were cut out of its video; where it is slower, frames are shown longer.

    Args:
        job: that was done.
        path: of the mp4.
        size: height and width of the pose video in pixels.
        frames: of the pose video.
    """
    with VideoWriter(path, job.out_fps, size[::-1], quality=6) as writer:
        image = None
        for time, following in job.frames(VideoFile.open(job.video)):
            due = writer.num_frames + 1 if job.fps is None else round(time * job.fps)
            while image is not None and writer.num_frames < min(due, frames):
                writer.write(image)
            image = frame_image(following, *size, job.fit)
        while image is not None and writer.num_frames < frames:
            writer.write(image)
    return path
