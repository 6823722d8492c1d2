"""Proof under trouble: fuzzed readers, killed processes, full disks; see docs/faults.md."""
