"""The fixture `watch`: a test fails by a step that is wrong."""

pytest_plugins = "pytester"


def test_the_fixture_fails_a_test_whose_step_is_wrong(pytester):
    pytester.makepyfile(
        """
        import torch
        from torchdiffeq import odeint

        RATE = torch.tensor(0.5, requires_grad=True)

        def train(watch, field):
            with watch() as step:
                odeint(field, torch.ones(2), torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-6)[-1].sum().backward()
            return step

        def test_right(watch):
            assert train(watch, lambda t, y: -RATE * y).rows

        def test_wrong(watch):
            train(watch, lambda t, y: -RATE * y.detach())
        """
    )
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*WATCH-5 refuted*"])
