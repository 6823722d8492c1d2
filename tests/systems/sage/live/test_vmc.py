"""VMC messages read by a parser of its own, and put together as Unity does."""

from __future__ import annotations

import socket
import struct

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.errors import ConfigError
from contrapposto.skeleton import SMPL22
from contrapposto.systems.sage.live.tracker import LiveFrame
from contrapposto.systems.sage.live.vmc import VmcSender, vmc_address, vmc_messages
from contrapposto.systems.sage.tracker import TrackedBody
from tests.systems.sage.test_features import loop_kinematics, motion

PARENTS = {
    "LeftUpperLeg": "Hips", "LeftLowerLeg": "LeftUpperLeg", "LeftFoot": "LeftLowerLeg", "LeftToes": "LeftFoot",
    "RightUpperLeg": "Hips", "RightLowerLeg": "RightUpperLeg", "RightFoot": "RightLowerLeg", "RightToes": "RightFoot",
    "Spine": "Hips", "Chest": "Spine", "UpperChest": "Chest", "Neck": "UpperChest", "Head": "Neck",
    "LeftShoulder": "UpperChest", "LeftUpperArm": "LeftShoulder", "LeftLowerArm": "LeftUpperArm", "LeftHand": "LeftLowerArm",
    "RightShoulder": "UpperChest", "RightUpperArm": "RightShoulder", "RightLowerArm": "RightUpperArm",
    "RightHand": "RightLowerArm",
}  # fmt: skip
JOINTS = {
    "Head": 15,
    "LeftHand": 20,
    "RightHand": 21,
    "LeftToes": 10,
    "RightFoot": 8,
    "Hips": 0,
    "UpperChest": 9,
}


def parse(data: bytes) -> tuple[str, list]:
    """One OSC message: https://opensoundcontrol.stanford.edu/spec-1_0.html."""

    def text(at):
        end = data.index(b"\0", at)
        return data[at:end].decode(), (end // 4 + 1) * 4

    address, at = text(0)
    tags, at = text(at)
    values = []
    for tag in tags[1:]:
        if tag == "s":
            value, at = text(at)
        else:
            value, at = struct.unpack(f">{tag}", data[at : at + 4])[0], at + 4
        values.append(value)
    assert at == len(data)
    return address, values


def unbundle(data: bytes) -> list:
    assert data[:8] == b"#bundle\0" and len(data) <= 1400
    at, messages = 16, []
    while at < len(data):
        (length,) = struct.unpack(">i", data[at : at + 4])
        messages.append(parse(data[at + 4 : at + 4 + length]))
        at += 4 + length
    return messages


def frame_of(clip, number=0, scale=1.0):
    _, places = loop_kinematics(clip)
    local = Rotation.from_rotvec(clip.rotations[number]).as_matrix()
    joints = scale * np.stack([place[number] for place in places])
    body = TrackedBody(
        torch.zeros(1, 132),
        torch.from_numpy(local[None]).float(),
        scale * torch.from_numpy(clip.root_translation[None, number]),
        torch.from_numpy(joints[None]).float(),
    )
    return LiveFrame(120, body, np.zeros((3, 3)), np.zeros((3, 3, 3)), np.ones(3, bool)), joints


def unity_places(messages):
    """World places of the bones, each below its parent, in Unity's axes."""
    local = {values[0]: values[1:] for address, values in messages if address == "/VMC/Ext/Bone/Pos"}
    assert set(local) == {*PARENTS, "Hips"}

    def world(name):
        place, turn = np.array(local[name][:3]), Rotation.from_quat(local[name][3:])
        if name not in PARENTS:
            return place, turn
        above_place, above_turn = world(PARENTS[name])
        return above_place + above_turn.apply(place), above_turn * turn

    return {name: world(name)[0] for name in local}


@pytest.mark.parametrize("scale", [1.0, 1.2])
def test_bones_put_together_as_in_unity_are_where_the_joints_are(scale):
    """Unity: y up, z forward, x to the right of who looks along z; the project: z up, a T-pose looks along -y."""
    frame, joints = frame_of(motion(frames=3), scale=scale)
    messages = [parse(message) for message in vmc_messages(frame, scale)]
    assert messages[0] == ("/VMC/Ext/OK", [1]) and messages[1] == ("/VMC/Ext/T", [2.0])
    places = unity_places(messages)
    for name, joint in JOINTS.items():
        x, y, z = joints[joint]
        np.testing.assert_allclose(places[name], [-x, z, -y], atol=1e-4)
    assert np.linalg.norm(places["Head"] - places["Hips"]) == pytest.approx(
        scale * np.linalg.norm(frame_of(motion(frames=3))[1][15] - frame_of(motion(frames=3))[1][0]), abs=1e-4
    )


def test_a_sender_reaches_its_address_and_bears_nobody_there():
    frame, _ = frame_of(motion(frames=2))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        sender = VmcSender(receiver.getsockname())
        sender.send(frame)
        messages = []
        while len(messages) < 3 + SMPL22.num_joints:
            messages += unbundle(receiver.recv(2048))
    assert len(unity_places(messages)) == 22
    for _ in range(3):
        sender.send(frame)  # the port is closed now
    sender.close()


@pytest.mark.parametrize("text", ["127.0.0.1", "127.0.0.1:", ":39539", "host:99999", "host:port"])
def test_wrong_addresses(text):
    with pytest.raises(ConfigError, match="HOST:PORT"):
        vmc_address(text)
    assert vmc_address("127.0.0.1:39539") == ("127.0.0.1", 39539)
