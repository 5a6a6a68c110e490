"""How far odecheck itself can be trusted, measured: mutants, false alarms, error bars, the smallest defect refuted.

mutation      deliberately wrong versions of odecheck's own source and engines, and which claims refute them
by_kinds      wrong subjects from tables of where a mistake is made, what it is and how large (`kinds`, `crossed_kinds`)
false_alarms  drawn problems and correct subjects, of which no claim may refute any
bars          drawn problems whose truth is known to 30 digits, and whether the reference's bars contain it
planted       a defect of twice what a record says that it would have seen, which the claim has to refute
discernment   the smallest relative defect that each claim refutes, next to what other tests would let pass
              (`other_tests`: gradcheck, and what torchdiffeq and torchode test)
quick         a small selection of all of these

Each part is a list of independent pieces of work with rows as results, kept in a journal, so that it can be resumed.
"""
