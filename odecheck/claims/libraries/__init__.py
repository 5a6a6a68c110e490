"""What a solver library has to meet beyond that: run by `odecheck conformance`."""
