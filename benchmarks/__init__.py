"""Speed, stated so that it can be judged on another machine: see docs/benchmarks.md."""
