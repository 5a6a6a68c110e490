"""What several claims share: working within torch's graph, conditions, integrals along the reference's solution."""
