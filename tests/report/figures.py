"""The figures of a report."""

from odecheck.report.text import Chart, Explorer, Grid


def figures_of(report):
    return [b for s in report.sections for b in s.blocks if isinstance(b, Chart | Grid | Explorer)]
