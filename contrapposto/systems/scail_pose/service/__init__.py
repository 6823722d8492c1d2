"""SCAIL-Pose behind HTTP and a page: `python -m contrapposto.systems.scail_pose.service`, see docs/service.md."""
