"""Kinds of files by their first bytes, before any decoder sees them.

A decoder that may guess would also take playlists and scripts, which name other files of the machine.
"""

from __future__ import annotations

HEAD = 192
"""Bytes that `video_suffix` and `image_suffix` need."""
VIDEO_FORMATS = "an mp4, mov, webm, mkv, avi, flv, mpg, ts, wmv, ogv or gif"
IMAGE_FORMATS = "a JPEG, PNG, WebP, TIFF or BMP"

_TS_PACKET = 188  # bytes of a packet of an MPEG transport stream, each beginning with _TS_SYNC
_TS_SYNC = 0x47
_VIDEO_STARTS = (
    (b"\x1a\x45\xdf\xa3", ".mkv"),
    (b"GIF87a", ".gif"),
    (b"GIF89a", ".gif"),
    (b"FLV\x01", ".flv"),
    (b"\x00\x00\x01\xba", ".mpg"),
    (b"\x00\x00\x01\xb3", ".mpg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ".wmv"),
    (b"OggS", ".ogv"),
)
_IMAGE_STARTS = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"II*\x00", ".tiff"),
    (b"MM\x00*", ".tiff"),
    (b"BM", ".bmp"),
)


def video_suffix(head: bytes) -> str | None:
    """Suffix of a video file, from its first bytes; None where it is none of `VIDEO_FORMATS`."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return ".mp4"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return ".avi"
    if len(head) > _TS_PACKET and head[0] == head[_TS_PACKET] == _TS_SYNC:
        return ".ts"
    return next((suffix for start, suffix in _VIDEO_STARTS if head.startswith(start)), None)


def image_suffix(head: bytes) -> str | None:
    """Suffix of an image file, from its first bytes; None where it is none of `IMAGE_FORMATS`."""
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for start, suffix in _IMAGE_STARTS if head.startswith(start)), None)
