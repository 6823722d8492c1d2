"""Send a recording or a clip as packets, as a headset would: `python -m contrapposto.systems.sage.live.replay FILE udp://127.0.0.1:9000`.

See docs/live.md for the packets.
"""

from __future__ import annotations

import argparse
import heapq
import math
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from contrapposto.errors import ConfigError, ContrappostoError
from contrapposto.io.devices import DEVICES, DeviceTrack, Repairs
from contrapposto.io.packets import Packet, encode, packets_of
from contrapposto.io.tracks import stream_devices


@dataclass(frozen=True)
class Disturbance:
    """What a real network and real tracking do to packets.

    Args:
        jitter: standard deviation of the delay on the way, seconds.
        loss: share of packets that never come.
        repeat: share of packets that come twice.
        dropout: share of the time that a hand is not tracked, in stretches of half a second.
        seed: of the chance.
    """

    jitter: float = 0.0
    loss: float = 0.0
    repeat: float = 0.0
    dropout: float = 0.0
    seed: int = 0

    def apply(self, packets: Iterator[Packet]) -> Iterator[tuple[float, Packet]]:
        """Seconds at which each packet arrives, and the packet; not in order of arrival."""
        random = np.random.default_rng(self.seed)
        lost_until = [-1.0, -1.0]
        for packet in packets:
            poses = packet.poses.copy()
            for hand in (0, 1):
                if self.dropout and random.random() < self.dropout / 36:  # stretches of 36 frames at 72 Hz
                    lost_until[hand] = packet.time + 0.5
                if packet.time < lost_until[hand]:
                    poses[1 + hand] = np.nan
            for _ in range(2 if random.random() < self.repeat else 1):
                delay = abs(random.normal(0, self.jitter))
                if random.random() >= self.loss:
                    yield packet.time + delay, replace(packet, poses=poses)


def in_order(arriving: Iterator[tuple[float, Packet]]) -> Iterator[tuple[float, Packet]]:
    """By arrival; no packet arrives before its own time."""
    heap: list[tuple[float, int, Packet]] = []
    for number, (at, packet) in enumerate(arriving):
        heapq.heappush(heap, (at, number, packet))
        while heap and heap[0][0] < packet.time:
            first = heapq.heappop(heap)
            yield first[0], first[2]
    for at, _, packet in sorted(heap, key=lambda entry: entry[:2]):
        yield at, packet


def timed_packets(
    tracks: Iterator[DeviceTrack], rate: float | None, loops: int | None = 1
) -> Iterator[Packet]:
    """A recording as packets from time zero.

    Args:
        tracks: successive stretches.
        rate: packets per second, resampled; None sends the frames as recorded.
        loops: how often; None for ever. Repetition holds the recording in memory.
    """
    chunks, kept, begin, end = tracks, [], 0.0, 0.0
    done = 0
    while loops is None or done < loops:
        for chunk in chunks:
            if done == 0 and loops != 1:
                kept.append(chunk)
            for packet in _packets(chunk, rate):
                end = begin + packet.time
                yield replace(packet, time=end)
        done, chunks = done + 1, iter(kept)
        begin = end + (1 / rate if rate else 1 / 72)


def _packets(chunk: DeviceTrack, rate: float | None) -> Iterator[Packet]:
    if rate is None or len(chunk) < 2 or not (np.diff(chunk.times) > 0).all() or not chunk.tracked.all():
        yield from packets_of(chunk)
        return
    start = float(chunk.times[0])
    even = DeviceTrack(chunk.rotations, chunk.positions, chunk.times - start).resample(rate)
    yield from packets_of(DeviceTrack(even.rotations, even.positions, even.times + start))


def send(
    packets: Iterator[tuple[float, Packet]], address: tuple[str, int], seconds: float | None = None
) -> int:
    """Send packets at their times by UDP; returns how many."""
    count, start = 0, time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for at, packet in packets:
            if seconds is not None and at > seconds:
                break
            while (ahead := start + at - time.monotonic()) > 0:
                time.sleep(min(ahead, 0.5))
            # `sent` is when the device made the packet: the delay that was added counts as the network's
            delay = at - packet.time
            out.sendto(encode(replace(packet, sent=time.time() - delay)), address)
            count += 1
    return count


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser("python -m contrapposto.systems.sage.live.replay", description=__doc__)
    parser.add_argument("file", help="a recording (.txt, .csv, .jsonl) or a motion file (.npz, .bvh, .amc)")
    parser.add_argument("address", help="udp://127.0.0.1:PORT")
    parser.add_argument("--rate", type=float, help="packets per second (default: as recorded)")
    parser.add_argument("--jitter", type=float, default=0.0, help="milliseconds of random delay")
    parser.add_argument("--loss", type=float, default=0.0, help="share of packets that never arrive")
    parser.add_argument("--repeat", type=float, default=0.0, help="share of packets that arrive twice")
    parser.add_argument("--dropout", type=float, default=0.0, help="share of time that a hand is not tracked")
    parser.add_argument("--axes", help="axis convention of the recording: joints, quest or openxr")
    parser.add_argument("--loop", action="store_true", help="again and again")
    parser.add_argument("--seconds", type=float, help="no longer than this")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    from contrapposto.systems.sage.live.server import udp_address

    try:
        address = udp_address(options.address)
        if address is None:
            raise ConfigError(f"{options.address} is no address.", expected="udp://127.0.0.1:PORT")
        _check(options)
        repairs = Repairs(options.file, strict=False)
        tracks = stream_devices(options.file, repairs=repairs, convention=options.axes)
        packets = timed_packets(tracks, options.rate, None if options.loop else 1)
        disturbance = Disturbance(
            options.jitter / 1000, options.loss, options.repeat, options.dropout, options.seed
        )
        count = send(in_order(disturbance.apply(packets)), address, options.seconds)
    except ContrappostoError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print()
        return 130
    print(f"{count} packets of {', '.join(DEVICES)} sent" + (f" ({repairs})" if repairs.counts else ""))
    return 0


def _check(options: argparse.Namespace) -> None:
    for name in ("loss", "repeat", "dropout"):
        if not 0 <= getattr(options, name) <= 1:
            raise ConfigError(f"--{name} {getattr(options, name)} is no share.", expected="0 to 1")
    if options.rate is not None and not (math.isfinite(options.rate) and 0 < options.rate <= 1000):
        raise ConfigError(f"--rate {options.rate} cannot be used.", expected="above 0, up to 1000")
    if not 0 <= options.jitter <= 500:
        raise ConfigError(f"--jitter {options.jitter} cannot be used.", expected="0 to 500 milliseconds")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
