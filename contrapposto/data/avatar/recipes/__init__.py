"""Avatar scenes from what people have; `contrapposto.data.avatar.prepare` finds the recipes here by name."""
