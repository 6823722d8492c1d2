"""The policy for threads: what a process may use, and who gets it while images are drawn."""

import subprocess
import sys

import pytest
import torch

from contrapposto.threads import MOST, NETWORK, drawing_threads, network_threads, usable_cores, while_drawing

ONE_CORE = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from contrapposto.threads import drawing_threads
print(drawing_threads())
"""


def test_drawing_takes_the_cores_of_the_process():
    assert drawing_threads() == min(usable_cores(), MOST)
    answer = subprocess.run([sys.executable, "-c", ONE_CORE], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["1"]


def test_networks_take_the_threads_of_torch_but_not_many():
    before = torch.get_num_threads()
    try:
        for threads, expected in ((1, 1), (64, min(usable_cores(), NETWORK))):
            torch.set_num_threads(threads)
            assert network_threads() == expected
    finally:
        torch.set_num_threads(before)


def test_torch_has_one_thread_while_images_are_drawn():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(KeyboardInterrupt), while_drawing():
            assert torch.get_num_threads() == 1
            raise KeyboardInterrupt
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
