"""What a person has looked at: mutants that survive for a reason, and claims that refute no mutant alone.

A survivor that is not named here fails the selftest. A reason says why no claim can refute it: the mutant computes the
same (equivalent), what it changes is a cost or what is refused and no answer, or no problem of the battery gets there.
"""

from __future__ import annotations

from collections.abc import Mapping

# mutant → why nothing that it returns is wrong
SURVIVORS: Mapping[str, str] = {
    "every stage is kept": "what it returns is right; SNOPT-12, not asked by the battery, counts its bytes",
    "discrete.tableau.Tableau.effective: self.c[:-1] -> self.c[1:]":
        "equivalent: the times of stages are those recorded, nobody reads the nodes of the shortened tableau",
    "discrete.record.Trajectory._stack: first + len(steps) -> first + 2 * len(steps)":
        "equivalent where the steps are one segment; with more, stacks of different lengths end in an error",
    "discrete.stepping.adaptive_steps: tries += 1 -> pass":
        "no answer: the count guards max_num_steps alone",
    "discrete.stepping.initial_size: 0.01 * d0 -> 0.01":
        "no answer: a guess of the first step's size, which the error of that step corrects",
    "discrete.schedule._grid: 1e-09 * (ups[-1] - ups[0]) -> 1e-09":
        "no answer: how near to a grid point an output has to be before it is refused",
    "ode.stepping._step_ends: t[1:] -> t[:-1]":
        "the last output is interpolated, at a lower order: right in the limit. SOL-2 becomes inconclusive, which is "
        "no pass",
    "ode.user_field.UserField.__init__: states + len(self.quadratures) -> states + 2 * len(self.quadratures)":
        "a gap: equivalent without running_cost, and claims pose an integral as one more state",
    "fields.parts.Parts.slices: total - fixed -> total + fixed":
        "equivalent where no part has a fixed size: the fields of the three papers have none",
    "ode.fields.Tangent.__init__: 2 * n -> 2":
        "no answer: forward mode through an adjoint ends in an error, which HES-8 takes for a refusal (unsupported)",
    "ode.start.start: _plan(rtol, atol, method, options, adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options) "
    "-> _plan(atol, rtol, method, options, adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options)":
        "a gap: no claim asks which of the two tolerances is which. Errors stay in proportion to both, and answers "
        "right in the limit",
    "discrete.copies._parameter_jacobian: points.clock * call(copies, chunk.t.detach(), chunk.y.detach()) -> "
    "_odecheck_float32(points.clock * call(copies, chunk.t.detach(), chunk.y.detach()))":
        "equivalent: the slopes of the copies are compared with the recorded ones, differ, and the other route answers",
    "discrete.points.pull.group: directions - first -> directions":
        "equivalent but for the zeros of an input that nothing depends on, in a last group smaller than the others",
    "discrete.points.pull.group: directions - first -> directions - 2 * first":
        "equivalent but for the zeros of an input that nothing depends on, in a last group smaller than the others",
    "fields.parts.Parts.split: -self.dim -> self.dim":
        "no answer: the number of axes below which a state is refused",
    "curvature.gather.Gather._enter: args[1] -> args[0]":
        "equivalent for a state that is one tensor: it asks whether the time, and not the state, is a tensor",
    "curvature.steps.Steps._stage_at: len(self._loose) - 2 -> len(self._loose) + 2":
        "a gap: for a step at whose start the field was not evaluated, which no solver of the battery takes",
    "optim.snopt.SNOpt.step: self.param_groups[0] -> self.param_groups[-1]":
        "equivalent: the optimizer has one group",
    "curvature.quadrature._agree: a - b -> a + b":
        "no answer: no method is recognised any more, so that curvature is refused (SNOPT-6 to SNOPT-9 unsupported)",
    "curvature.steps.Steps._share: 1 - ROUND -> 1":
        "equivalent to round-off: a share of a step within round-off of one is taken for itself and not for one",
    "curvature.gather.Gather._see: args[0] -> args[-1]":
        "equivalent: a layer is called with one argument",
    "curvature.layers.Shape.of: weight[0] -> weight[-1]":
        "equivalent: all rows of a weight have the same number of entries",
    "curvature.steps.Steps._share: 1 + ROUND -> 1":
        "equivalent to round-off: as with 1 - ROUND",
    "curvature.layers.input_rows: _patches(layer, z) -> _patches(z, layer)":
        "a gap: no field of the battery has a convolution; it ends in an error where there is one",
    "optim.snopt.SNOpt._prepare: self.param_groups[0] -> self.param_groups[-1]":
        "equivalent: the optimizer has one group",
    "ode.start._check_start: batch_levels(t) -> batch_levels(0 * t)":
        "equivalent: a product has the levels of its factors",
    "ode.start._check_start: leaves[0] -> leaves[-1]":
        "no answer: which part of a tuple of states the times are compared with before they are refused",
    "ode.user_field.UserField.refuse_changed: SAME * torch.finfo(old.dtype).eps * size -> "
    "SAME * torch.finfo(old.dtype).eps":
        "no answer: how far from its former value a field has to be to be refused",
    "ode.stepping._solve.run: _step_ends(options, t) -> _step_ends(options, 0 * t)":
        "outputs are interpolated, at a lower order: right in the limit. NODE-1 becomes inconclusive, which is no pass",
    "discrete.copies._parameter_jacobian: _named_copies(points, count) -> _named_copies(count, points)":
        "equivalent: it ends in an error, and the other route answers",
    "discrete.copies._parameter_jacobian: points.clock * call(copies, chunk.t.detach(), chunk.y.detach()) -> "
    "_odecheck_scaled(points.clock * call(copies, chunk.t.detach(), chunk.y.detach()))":
        "equivalent: the slopes of the copies are compared with the recorded ones, differ, and the other route answers",
    "discrete.schedule.steps_of: _grid(stepper, y, t, ups, options) -> _grid(stepper, y, 0 * t, ups, options)":
        "a gap: read by a grid_constructor alone, which no subject of the battery has",
    "discrete.points.Points._chunk_size: len(states) * rows * width -> width":
        "no answer: how many points are differentiated at a time",
    "curvature.quadrature.Rule.idle: len(self.tableau.b) - 1 -> len(self.tableau.b)":
        "equivalent for dopri8, whose last stage counts in the middle of a step",
    "curvature.quadrature.Rule.idle: len(self.tableau.b) - 1 -> len(self.tableau.b) + 1":
        "equivalent for dopri8, whose last stage counts in the middle of a step",
    "curvature.quadrature.Rule.idle: len(self.tableau.b) - 1 -> len(self.tableau.b) - 2 * 1":
        "no answer: one stage more is kept that has no weight",
    "curvature.steps.Starts.accept: t0 - dt -> t0":
        "a gap: where a solve backwards in time goes on, and the battery gathers along none",
    "curvature.hooks.Callback.__call__: self.before(t0, state, dt) -> self.before(state, t0, dt)":
        "a gap: no field of the battery has callbacks of its own",
    "fields.cnf.WithDivergence._transformed: self.inner(t, x) -> self.inner(0 * t, x)":
        "no answer: the battery gets there where a field is looked at before a solve; answers come from _plain",
    "optim.horizon.HorizonNewton.step: self.T -> self":
        "no answer: the gradient that is left in T, which Newton's step does not read",
    "discrete.copies._parameter_jacobian: points.clock * call(copies, chunk.t.detach(), chunk.y.detach()) -> "
    "points.clock":
        "equivalent: it ends in an error, and the other route answers",
    "discrete.points.Chunk.weigh: g[0] -> g[-1]":
        "equivalent: one weight is pulled back, so the first is the last",
    "fields.parts.Parts.slices: total - fixed -> total - 2 * fixed":
        "equivalent where no part has a fixed size: the fields of the three papers have none",
    "fields.node.WithTime.forward: t.to(h.dtype) + torch.zeros_like(h.narrow(self.dim, 0, 1)) -> "
    "t.to(h.dtype) - torch.zeros_like(h.narrow(self.dim, 0, 1))":
        "equivalent: zeros are taken away in place of being added",
    "optim.horizon.HorizonOptimizer._keep: self.T -> self":
        "no answer: the key under which averages are kept, which matters when a state is saved",
    "curvature.steps.Starts.step: t0 - dt -> t0":
        "a gap: as in accept",
    "discrete.linearised.Linearised.time_adjoint: by_size * clock * segment.sizes / length -> "
    "_odecheck_float32(by_size * clock * segment.sizes / length)":
        "below what is seen: an error of 3e-8 at most, and NODE-3 sees 3.1e-8 with the battery's steps of 1/16",
    "discrete.stepping.initial_size: (ahead - first) / scale -> _odecheck_float32((ahead - first) / scale)":
        "no answer: a guess of the first step's size, which the error of that step corrects",
    "fields.node.WithTime.forward: t.to(h.dtype) + torch.zeros_like(h.narrow(self.dim, 0, 1)) -> "
    "t.to(h.dtype) + 2 * torch.zeros_like(h.narrow(self.dim, 0, 1))":
        "equivalent: zeros are doubled",
    "optim.horizon.HorizonOptimizer._slope: self.T -> self":
        "a gap: slopes would add up from the second step on, and OPT-3 takes one; tests take many",
    "optim.snopt.SNOpt.step: weight[0] -> weight[-1]":
        "equivalent: all rows of a weight have the same number of entries",
    "second_order.samples.curvature_of_loss: blocks.mT -> blocks":
        "equivalent: the blocks are symmetric but for round-off",
    "fields.adam.AdamNODE.forward: self.alpha2(clock) -> self.alpha2(0 * clock)":
        "a gap: the rates of the battery's Adam models do not change with time",
    "curvature.eigen.Eigenbasis.rotated: self.outputs.T -> self.outputs":
        "a gap: layers of the battery have two outputs, of which the eigenvectors come out as a symmetric matrix",
    "curvature.factors.KroneckerSums.along: counts.positions * stage.calls -> stage.calls":
        "a gap: layers of the battery have no axes of positions, as pixels are; tests of convolutions have",
    "ode.flow._push_forward: flow.tangent(moving).along(t, [*y, *dy], [*p, *(dinputs[n + i] for i in moving)]) -> "
    "flow.tangent(moving).along(0 * t, [*y, *dy], [*p, *(dinputs[n + i] for i in moving)])":
        "no pass: HES-8 becomes inconclusive",
    "ode.start.start: t[0] -> t[-1]":
        "no answer: the time at which a field is looked at before it is solved",
    "ode.stepping.integrate: y[0] -> y[-1]":
        "equivalent: all parts of a state are of one dtype and on one device",
    "discrete.copies.push_unit_parameters: _parameter_jacobian(points, chunk) -> _parameter_jacobian(chunk, points)":
        "equivalent: it ends in an error, and the other route answers",
    "ode.user_field.UserField._rates: self.cost(t, state) -> self.cost(0 * t, state)":
        "a gap: equivalent without running_cost, and claims pose an integral as one more state",
    "discrete.points.agree: 3000.0 * torch.finfo(a.dtype).eps * (0.001 + b.abs().max()) -> "
    "_odecheck_float32(3000.0 * torch.finfo(a.dtype).eps * (0.001 + b.abs().max()))":
        "no answer: how near slopes have to be for the quicker route to be taken",
    "p averaged over the batch":
        "a gap: the battery asks SNOPT-4 of one row; tests ask it of several, where it refutes this",
    "what is left of the interval after whole steps is dropped":
        "a gap: the battery's steps divide its intervals; tests ask its claim where they do not, where it refutes this",
    "the last step is not cut":
        "a gap: the battery's steps divide its intervals; tests ask its claim where they do not, where it refutes this",
}  # fmt: skip

# claim → why it is kept although every mutant that it refutes is refuted by another claim too
KEPT: Mapping[str, str] = {
    "SOL-1": "says that the field is wrong, and not the solver, where later claims only see a wrong answer",
    "SOL-2": "the only one that asks for the solution itself, at a stated tolerance",
    "SOL-3": "the order of a fixed-step method: an answer of lower order is right in the limit and passes all others",
    "SOL-4": "outputs between the ends of steps: an interpolant of lower order passes at step ends",
    "SOL-5": "proportion of error to tolerance: a solver that ignores its tolerance passes where it is accurate enough",
    "SOL-6": "solves backwards in time by what was solved forwards: it needs no reference",
    "SOL-7": "two solves in a row are one: it needs no reference",
    "SOL-8": "rows of a batch do not see each other: it needs no reference",
    "SOL-9": "the same solve twice gives the same bits",
    "NODE-1": "the adjoint at every observed time, and not at the start alone",
    "NODE-2": "the only one that asks for the gradient in the parameters",
    "NODE-3": "the only one that asks for the gradient in the times",
    "NODE-4": "an invariant of adjoint and tangent: what both get wrong alike shows in their product",
    "NODE-5": "the determinant, which normalizing flows are made of",
    "SNOPT-1.1": "needs no reference, and refutes at round-off whatever the tolerance",
    "SNOPT-3": "a sentence that is false read literally, recorded as such",
    "SNOPT-5": "one layer at a time, by another route than SNOPT-4",
    "SNOPT-11": "a sentence that is false read literally, recorded as such",
    "SOL-1.1": "the field's own derivatives against its own values: it needs no second formula of the field",
    "SOL-1.2": "the same in every part of the interval and around the trajectory: a lie in a window of time",
    "SOL-1.3": "whether the field is a function at all: values kept between calls",
    "SOL-1.4": "the only one that asks second derivatives of the field of its values alone",
    "SOL-1.5": "the only one that asks forward mode of the field of its values alone",
    "SNOPT-1": "the only one that asks for the whole Hessian with its second derivatives of the field",
    "SNOPT-6.1": "a sentence that is false read literally, recorded as such",
    "SNOPT-8.1": "the inequality that SNOPT-8 makes plausible, asked for by itself",
    "SNOPT-2": "the only one that asks for the Gauss-Newton form",
    "SNOPT-4": "the only one that asks for its factors",
    "SNOPT-6": "the only one that asks for the Kronecker factors",
    "SNOPT-7": "the preconditioner alone, to round-off, whatever the factors are",
    "SNOPT-8": "the only one that asks for the spectrum in the factors' eigenbasis",
    "SNOPT-9": "an invariance of the step: it needs no reference",
    "SNOPT-10": "the only one that asks for derivatives in the last time of second order",
    "OPT-1": "the optimizer as it is used, between backward() and step()",
    "OPT-2": "the only one that asks for the factors of single samples",
    "OPT-3": "the optimizers of the last time as they are used, between two steps of the parameters",
    "FLOW-1": "the only one that asks for the change of a density",
    "STEP-1": "derivatives of the steps themselves, which claims about the flow see in the limit alone",
    "HES-8": "the only one that differentiates forwards",
    "SNOPT-12": "asks for bytes, and no answer: its mutant keeps every stage",
}
# claims about one family of models: what they refute is refuted by the general claims with a reference as well
FAMILIES: Mapping[str, str] = {
    "HB": "states the paper's own identity of heavy-ball models, a second reference beside the sensitivities",
    "ADAM": "states the paper's own identity of Adam models, a second reference beside the sensitivities",
    "SOL": "asks a library in the way its users do, which the claims of the papers do not: steps, types, intervals",
    "DER": "asks a library in the way its users do, which the claims of the papers do not: outputs, kinds of input",
    "USE": "asks what becomes of a graph when what it was made of changes",
}


def why_kept(claim: str) -> str:
    """The reason for a claim without a mutant of its own; empty where none is written."""
    return KEPT.get(claim) or FAMILIES.get(claim.split("-")[0], "")
