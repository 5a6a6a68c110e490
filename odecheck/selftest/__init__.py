"""How far odecheck itself can be trusted, measured: mutants, false alarms, error bars, the smallest defect refuted.

mutation      deliberately wrong versions of odecheck's own source and engines, and which claims refute them
false_alarms  drawn problems and correct subjects, of which no claim may refute any
bars          drawn problems whose truth is known to 30 digits, and whether the reference's bars contain it
discernment   the smallest relative defect that each claim refutes, next to what other tests would let pass
              (`other_tests`: gradcheck, and what torchdiffeq and torchode test)

Each part is a list of independent pieces of work with rows as results, kept in a journal, so that it can be resumed.
"""
