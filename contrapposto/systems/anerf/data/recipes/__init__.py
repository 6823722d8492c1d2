"""Avatar scenes from what people have; `contrapposto.systems.anerf.data.prepare` finds the recipes here by name."""
