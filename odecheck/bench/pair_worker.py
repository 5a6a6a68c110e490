"""The process that times benchmarks of several checkouts side by side: a script that needs asv_runner alone.

It imports what is the same for all sides once (torch, for one), and for every comparison forks a few children of each
side, which import their own side's package. The children are timed in turn, in an order drawn anew for each round: at
every moment one of them runs, so that whatever else the machine does falls on all alike.

One JSON line in, {"sides": [[folder, ...], ...], "benchmark": name, "index", "root": folder, "processes", "rounds",
"seconds": of one timing at least, "budget": seconds of all timings, which takes rounds away}, and one out:
{"times": [[CPU seconds of each round] of each child], "side": [side of each child]} or {"error": text}.
"""

# pyright: basic
import json
import os
import random
import sys
import time
import traceback
from typing import Any

FEWEST = 8  # rounds


def child(paths, spec, take, give):
    """Set the benchmark up; then run it for every byte that arrives and answer with its seconds."""
    reads, answers = os.fdopen(take, "rb", 0), os.fdopen(give, "w", 1)
    try:
        sys.path[:0] = paths
        from asv_runner.discovery import get_benchmark_from_name

        benchmark = get_benchmark_from_name(spec["root"], spec["benchmark"])
        benchmark.set_param_idx(spec["index"]) if spec["index"] is not None else None
        if benchmark.do_setup():
            raise NotImplementedError("it is refused in setup")
        params, call = benchmark._build_params(), benchmark.func
        clock = _clock(benchmark)  # after setup: only then is known whether it computes on a GPU
        once = _seconds(clock, call, params, 1)
        loops = max(1, round(spec["seconds"] / max(1e-7, min(once, _seconds(clock, call, params, 1)))))
        answers.write(json.dumps(once * loops) + "\n")
        while reads.read(1):
            answers.write(json.dumps(_seconds(clock, call, params, loops) / loops) + "\n")
    except BaseException as error:
        answers.write(json.dumps({"error": "".join(traceback.format_exception_only(error)).strip()}) + "\n")
    finally:
        os._exit(0)


def _clock(benchmark):
    """CPU time; where the benchmark uses a GPU its own timer, once the GPU has done what was asked of it.

    Without that wait, what is timed is how long it takes to ask. On the CPU alone a timer of the wall's time is not
    used: what else the machine does is in it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return time.process_time
    own = getattr(benchmark, "timer", time.perf_counter)

    def clock():
        torch.cuda.synchronize()
        return own()

    return clock


def _seconds(clock, call, params, loops):
    begun = clock()
    for _ in range(loops):
        call(*params)
    return clock() - begun


def compare(spec):
    """Time one comparison; see the module."""
    children = []
    for side, paths in enumerate(spec["sides"]):
        for _ in range(spec["processes"]):
            down, up = os.pipe(), os.pipe()
            process = os.fork()
            if process == 0:
                os.close(down[1])
                os.close(up[0])
                child(paths, spec, down[0], up[1])
            os.close(down[0])
            os.close(up[1])
            children.append((side, process, os.fdopen(down[1], "wb", 0), os.fdopen(up[0])))
    try:
        each = sum(float(_answer(answers)) for *_, answers in children)  # seconds of one round
        rounds = max(FEWEST, min(spec["rounds"], round(spec["budget"] / each)))
        order, times = list(range(len(children))), [[] for _ in children]
        for _ in range(rounds):
            random.shuffle(order)
            for i in order:
                children[i][2].write(b".")
                times[i].append(_answer(children[i][3]))
        return {"times": times, "side": [side for side, *_ in children]}
    finally:
        for _, _, asks, answers in children:
            asks.close()
            answers.close()
        for _, process, *_ in children:  # once all are closed: later children hold the earlier ones' pipes
            os.waitpid(process, 0)


def _answer(answers) -> Any:
    found = json.loads(answers.readline() or '{"error": "its process died"}')
    if isinstance(found, dict) and "error" in found:
        raise RuntimeError(found["error"])
    return found


def main():
    """Import what the command line names, then answer a line for each line."""
    sys.path.pop(0)  # this file's folder
    for name in sys.argv[1:]:
        try:
            __import__(name)
        except ImportError:
            continue
    answers = os.dup(1)
    os.dup2(2, 1)  # what benchmarks print does not come between
    with os.fdopen(answers, "w", 1) as out:
        for line in sys.stdin:
            try:
                found = compare(json.loads(line))
            except Exception as error:
                found = {"error": str(error)}
            out.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
