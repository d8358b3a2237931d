"""Errors for imports that come too late.

A component has no files, so it contains only the modules that were imported when it was built.
Python looks for any other module in the file system, which is a trap without a reason. Most
encodings are modules too, and Python imports an encoding when it is used for the first time.
"""

import sys
from importlib.machinery import PathFinder


class _Refusal:
    """A finder of modules that refuses each of them with an error."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Raises an error that names the module, or the encoding that the module implements."""
        advice = f"write `import {name}` at the top of codec.py"
        package, _, encoding = name.rpartition(".")
        # Python would turn an ImportError here into `unknown encoding`, which would mislead.
        if package == "encodings":
            raise LookupError(f"the encoding {encoding} is not in the component: {advice}")
        raise ImportError(f"the module {name} is not in the component: {advice}", name=name)


def refuse():
    """Refuses every further import from a file, if this code runs in a component.

    The interpreter does not know when the build is over. So this function must be called after it.
    """
    if sys.platform == "wasi" and PathFinder in sys.meta_path:
        sys.meta_path[sys.meta_path.index(PathFinder)] = _Refusal
