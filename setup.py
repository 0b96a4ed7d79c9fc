"""What pyproject.toml cannot say: in the wheel the folder ``fiftyone_plugin/`` is a whole FiftyOne plugin.

FiftyOne finds a plugin by the ``fiftyone.yml`` in its folder, and serves icons and skills from that folder. In a
checkout that folder is the root, so that a copy of it works without being installed, with ``hnm_core`` beside
``fiftyone_plugin``. A wheel has no root of its own: while it is built, those files are copied into the package, and
the entry of ``fiftyone.yml`` is named as it is seen from there. ``ln -s SITE-PACKAGES/fiftyone_plugin PLUGINS-FOLDER``
is then all that the App needs (``hnm doctor`` prints the line). An editable install needs no copy.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ENTRY, ENTRY_IN_WHEEL = "py_entry: fiftyone_plugin/__init__.py", "py_entry: __init__.py"


class BuildPlugin(build_py):
    """Copy what makes a plugin of the package."""

    def run(self) -> None:
        """Build as always, then add the plugin's files."""
        super().run()
        if self.editable_mode:
            return
        plugin = Path(self.build_lib) / "fiftyone_plugin"
        manifest = Path("fiftyone.yml").read_text(encoding="utf-8")
        if ENTRY not in manifest:
            raise ValueError(f"fiftyone.yml does not say {ENTRY!r}, which the wheel replaces")
        (plugin / "fiftyone.yml").write_text(manifest.replace(ENTRY, ENTRY_IN_WHEEL), encoding="utf-8")
        shutil.copy("requirements.txt", plugin)
        for folder in ("assets", "skills"):
            shutil.copytree(folder, plugin / folder, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildPlugin})
