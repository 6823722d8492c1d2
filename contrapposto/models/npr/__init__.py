"""NPR: the pose of one mesh on any other mesh (arXiv 2406.09728)."""
