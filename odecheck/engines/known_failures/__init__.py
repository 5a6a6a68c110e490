"""What libraries are known to fail, as data: a file for each library, and here the reasons that several share."""

REPLAYED = (
    "the adjoint evaluates the field again in backward(), with the attributes, buffers and parameter values that it "
    "has by then; nothing notices that they are others than in the solve"
)
DATA = (
    "autograd itself looks a saved leaf up again and does not count an assignment to its `data` as a change: the "
    "gradient is that of the new values"
)
UNSEEN = (
    "the step control sees a solution that does not move and chooses steps that are far too long for its sensitivity; "
    "the derivative of those steps is exact and is not that of the flow"
)
AT_REST = ("pendulum at rest",)
ALL_ZERO = "the backward pass is no part of the graph: its derivative comes back as zero, without a word"
