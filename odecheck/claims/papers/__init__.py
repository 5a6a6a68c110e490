"""What the papers state, and what any solve has to meet: run by `odecheck verify`."""
