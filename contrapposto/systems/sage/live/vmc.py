"""Bodies as VMC messages (OSC over UDP), which VSeeFace, VRChat tools and Warudo read.

The protocol: https://protocol.vmc.info (performer to marionette): for each frame `/VMC/Ext/OK`, `/VMC/Ext/T`,
`/VMC/Ext/Root/Pos` and one `/VMC/Ext/Bone/Pos` for each bone of Unity's humanoid, with its local position (metres) and
rotation (x, y, z, w), left-handed with y up and x to the figure's right.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.errors import ConfigError
from contrapposto.retarget.names import written_name
from contrapposto.skeleton import SMPL22
from contrapposto.systems.sage.live.tracker import LiveFrame

_MOST_BYTES = 1400  # of a datagram, below the usual limit of networks
_MIRROR = np.array([-1.0, 1.0, 1.0])
_MIRROR_TURN = np.array([1.0, -1.0, -1.0, 1.0])  # xyzw
_TO_Y_UP = torch.tensor([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
BONES = tuple(
    name[0].upper() + name[1:] for name in (written_name(joint, "vrm") for joint in SMPL22.joint_names)
)
"""Unity's names of the 22 joints."""


def vmc_address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:39539`.

    Raises:
        ConfigError: not an address.
    """
    host, _, port = str(text).rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"vmc={text} cannot be used.", expected="HOST:PORT, for instance 127.0.0.1:39539")
    return host, int(port)


def osc_message(address: str, *values: str | float | int) -> bytes:
    """One OSC 1.0 message: integers as `i`, floats as `f`, text as `s`."""
    tags = "," + "".join("s" if isinstance(v, str) else "i" if isinstance(v, int) else "f" for v in values)
    parts = [_text(address), _text(tags)]
    for value in values:
        if isinstance(value, str):
            parts.append(_text(value))
        else:
            parts.append(struct.pack(">i" if isinstance(value, int) else ">f", value))
    return b"".join(parts)


def osc_bundles(messages: Iterable[bytes], most: int = _MOST_BYTES) -> list[bytes]:
    """Messages as OSC bundles, to be taken at once, of at most so many bytes each."""
    head = _text("#bundle") + struct.pack(">q", 1)
    bundles, current = [], head
    for message in messages:
        part = struct.pack(">i", len(message)) + message
        if len(current) + len(part) > most and current != head:
            bundles.append(current)
            current = head
        current += part
    return [*bundles, current]


def vmc_messages(frame: LiveFrame, scale: float = 1.0) -> list[bytes]:
    """A body as messages.

    Args:
        frame: the body, z up.
        scale: of the wearer relative to the default figure.
    """
    turns = frame.body.rotations[0].float().cpu().clone()
    root = frame.body.joints[0, 0].float().cpu() @ _TO_Y_UP.T
    turns[0] = _TO_Y_UP @ turns[0]
    quaternions = rot.matrix_to_quaternion(turns).numpy()[:, [1, 2, 3, 0]] * _MIRROR_TURN
    positions = scale * np.asarray(SMPL22.offsets, np.float64)
    positions[0] = root.numpy()
    positions = positions * _MIRROR
    messages = [
        osc_message("/VMC/Ext/OK", 1),
        osc_message("/VMC/Ext/T", float(frame.time)),
        osc_message("/VMC/Ext/Root/Pos", "root", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    ]
    for name, place, turn in zip(BONES, positions.tolist(), quaternions.tolist()):
        messages.append(osc_message("/VMC/Ext/Bone/Pos", name, *place, *turn))
    return messages


class VmcSender:
    """Sends bodies to an address; nobody need listen there.

    Args:
        address: host and port.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def send(self, frame: LiveFrame, scale: float = 1.0) -> None:
        """Send a body of a size relative to the default figure's; what the network does not take is lost."""
        self._send(osc_bundles(vmc_messages(frame, scale)))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, bundles: Sequence[bytes]) -> None:
        for bundle in bundles:
            try:
                self._socket.sendto(bundle, self.address)
            except OSError:  # nobody listens, or the buffer is full: the next frame comes soon
                return


def _text(text: str) -> bytes:
    data = text.encode() + b"\0"
    return data + b"\0" * (-len(data) % 4)
