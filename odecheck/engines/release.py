"""Released versions of a library side by side: each in a folder of its own, imported under a name of its own.

A release is installed without its dependencies into CACHE/PACKAGE-VERSION, once, and kept. It is imported as
`PACKAGE_VERSION`: relative imports inside it stay inside it, so that two releases know nothing of each other.

A checkout is called VERSION+checkout.COMMIT, and is imported in the same way from the folder in which it lies.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, PathDistribution, version
from pathlib import Path
from types import ModuleType

from odecheck.errors import Unsupported
from odecheck.foreign import one_line

# of a version: no path, and no option of pip
NAME = re.compile(r"\d[\w.+!-]*", re.ASCII)
# between the version that a checkout states and its commit
CHECKOUT = "+checkout."


class NotInstalled(Exception):
    """A release that is not there and could not be had.

    Args:
        said: what was seen.
        fix: what to type.
    """

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

    An installation that was interrupted leaves nothing.

    Args:
        package: the name where it is installed from.
        release: the version.
        folder: where releases are kept, side by side.

    Returns:
        folder/package-release.

    Raises:
        NotInstalled: pip could not have it; with pip's last line and what to type.
    """
    if not NAME.fullmatch(release):
        raise NotInstalled(f"{one_line(release, 60)!r} is no version of {package}", f"{package}==1.2.3")
    there = folder / f"{package}-{release}"
    if there.is_dir():
        return there
    folder.mkdir(parents=True, exist_ok=True)
    begun = Path(tempfile.mkdtemp(prefix=f"{package}-{release}-", dir=folder))
    # -P: not the pip.py of the folder that somebody works in
    pip = [sys.executable, "-P", "-m", "pip", "install", "--no-deps", "--disable-pip-version-check", "--quiet"]
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
    """A release as a module.

    Args:
        package: the name that is imported, which is also the one it is installed from.
        release: the version.
        folder: where `install` put it, or a checkout lies; not looked at for the version that is installed.

    Returns:
        The module, which other releases know nothing of.

    Raises:
        Unsupported: it is not there, or is another version than it is called.
    """
    if is_installed(package, release):
        return importlib.import_module(package)
    name = f"{package}_{re.sub(r'[^0-9A-Za-z]', '_', release)}"
    if name in sys.modules:
        return sys.modules[name]
    if not folder or not NAME.fullmatch(release):  # never what lies in the folder that somebody works in
        raise Unsupported(f"{package} {one_line(release, 60)} is in no folder of releases")
    stated, is_checkout, _ = release.partition(CHECKOUT)
    home = Path(folder) if is_checkout else Path(folder) / f"{package}-{release}"
    begin = home / package / "__init__.py"
    if not begin.is_file():
        raise Unsupported(f"{package} {release} is not in {folder}")
    found = stated if is_checkout else _found(home, package)
    if found != stated:
        raise Unsupported(f"{home} holds {package} {found} in the place of {release}")
    spec = importlib.util.spec_from_file_location(name, begin, submodule_search_locations=[str(begin.parent)])
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        _is_what_it_is_called(module, home, package, stated, found)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _found(home: Path, package: str) -> str:
    """The version that was installed into a folder, as its metadata say."""
    metadata = next(home.glob(f"{package}-*.dist-info"), None)
    return PathDistribution(metadata).version if metadata else "none"


def _is_what_it_is_called(module: ModuleType, home: Path, package: str, release: str, found: str) -> None:
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
