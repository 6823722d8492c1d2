"""A page on which everybody can try the five systems: `contrapposto studio` (docs/studio.md).

The page (`page`) turns what was entered into commands (`commands`) that a process of its own runs (`worker`): the
same tasks as `contrapposto predict`. `examples` makes the inputs that can be clicked.
"""
