"""Kinds of files by their first bytes, before any decoder sees them.

A decoder asked to guess would also take playlists and scripts, which name other files of the machine.
"""

from __future__ import annotations

HEAD = 16
"""Bytes that `video_suffix` and `image_suffix` need."""


def video_suffix(head: bytes) -> str | None:
    """Suffix of a video file, from its first bytes; None where it is none of mp4/mov, webm/mkv, avi, gif."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return ".mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return ".mkv"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return ".avi"
    return ".gif" if head.startswith((b"GIF87a", b"GIF89a")) else None


def image_suffix(head: bytes) -> str | None:
    """Suffix of an image file, from its first bytes; None where it is none of JPEG, PNG, WebP."""
    if head.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    return ".webp" if head.startswith(b"RIFF") and head[8:12] == b"WEBP" else None
