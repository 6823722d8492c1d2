"""The embedded estimator: BlazePose body, hands and face (docs/specs/scail_pose.md, section 12), run by LiteRT on the CPU."""
