"""The embedded estimator: BlazePose body, hands and face (fact sheet, section 12), run by LiteRT on the CPU."""
