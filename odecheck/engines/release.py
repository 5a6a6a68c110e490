"""Released versions of a library side by side: each in a folder of its own, imported under a name of its own.

A release is installed without its dependencies into CACHE/PACKAGE-VERSION, once, and kept. It is imported as
`PACKAGE_VERSION`: relative imports inside it stay inside it, so that two releases know nothing of each other.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, PathDistribution, version
from pathlib import Path
from types import ModuleType

from odecheck.errors import Unsupported


class NotInstalled(Exception):
    """A release that is not there and could not be had: what was said; fix: what to type."""

    def __init__(self, said: str, fix: str) -> None:
        super().__init__(said)
        self.fix = fix


def default_folder() -> Path:
    """Where releases are kept: $ODECHECK_CACHE, or `odecheck` in the user's cache folder."""
    own = os.environ.get("ODECHECK_CACHE")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(own) if own else cache / "odecheck" / "releases"


def is_installed(package: str, release: str) -> bool:
    """Whether this release is the one of the environment itself."""
    try:
        return version(package) == release
    except PackageNotFoundError:
        return False


def install(package: str, release: str, folder: Path) -> Path:
    """The folder of a release, installed into it with pip when it is not there.

    Raises NotInstalled with pip's last line and what to type. An installation that was interrupted leaves nothing.
    """
    there = folder / f"{package}-{release}"
    if there.is_dir():
        return there
    folder.mkdir(parents=True, exist_ok=True)
    begun = Path(tempfile.mkdtemp(prefix=f"{package}-{release}-", dir=folder))
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--disable-pip-version-check", "--quiet"]
    try:
        done = subprocess.run(
            [*pip, "--target", str(begun), f"{package}=={release}"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = next((line for line in reversed(done.stderr.splitlines()) if line.startswith("ERROR")), done.stderr)
            raise NotInstalled(
                f"{package} {release} is not in {folder} and pip could not install it: {said.strip()}",
                f"pip install --no-deps --target {there} {package}=={release}, where there is a network",
            )
        if not there.is_dir():  # another process may have been quicker
            begun.rename(there)
    finally:
        shutil.rmtree(begun, ignore_errors=True)
    return there


def load(package: str, release: str, folder: str) -> ModuleType:
    """A release as a module. Raises Unsupported when it is not there, or is another version than it is called."""
    if is_installed(package, release):
        return importlib.import_module(package)
    name = f"{package}_{release.replace('.', '_')}"
    if name in sys.modules:
        return sys.modules[name]
    home = Path(folder) / f"{package}-{release}"
    begin = home / package / "__init__.py"
    if not begin.is_file():
        raise Unsupported(f"{package} {release} is not in {folder}")
    spec = importlib.util.spec_from_file_location(name, begin, submodule_search_locations=[str(begin.parent)])
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        _is_what_it_is_called(module, home, package, release)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_what_it_is_called(module: ModuleType, home: Path, package: str, release: str) -> None:
    metadata = next(home.glob(f"{package}-*.dist-info"), None)
    found = PathDistribution(metadata).version if metadata else "none"
    states = getattr(module, "__version__", found)
    if found != release or states != release:
        raise Unsupported(f"{home} holds {package} {found}, which calls itself {states}, in the place of {release}")
    outside = [
        name
        for name in sys.modules
        if name.startswith(f"{module.__name__}.")
        and not str(getattr(sys.modules[name], "__file__", "")).startswith(str(home))
    ]
    if outside:
        raise Unsupported(f"{package} {release} took {', '.join(outside)} from elsewhere")
