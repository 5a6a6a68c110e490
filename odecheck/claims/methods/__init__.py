"""What an optimizer, a flow of densities or the very steps of a solver promise: asked of a subject by name.

Neither a paper's sentence nor a question to every library: `odecheck verify TARGET --claim OPT` asks them.
"""
