"""SCAIL-Pose: 3D poses of people in a video, drawn as the pose video that drives a video model."""
