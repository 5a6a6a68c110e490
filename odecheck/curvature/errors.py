"""What is raised when there is no curvature to be had."""


class CurvatureError(RuntimeError):
    """No curvature can be had of what was run: what was seen, its usual cause, and what to do."""
