"""odecheck: is what this neural ODE computes what the mathematics says, and what does it cost?"""
