"""SCAIL-Pose behind HTTP and a page: `python -m contrapposto.serve`, see docs/service.md."""
