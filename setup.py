"""Builds the compiled core: one abi3 module per stage.

``PYENO_SANITIZE=1`` adds ASan and UBSan, ``PYENO_DEBUG=1`` turns the optimiser
off, ``PYENO_COVERAGE=1`` adds gcov counters and Cython line tracing.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

# stem of ext/cython/<stem>.pyx -> the C files it is linked with, under ext/
STAGES: dict[str, list[str]] = {
    "option": [],
    "negotiation": [],
    "secret": ["core/sodium.c"],
    "agreement": ["core/sodium.c", "core/agreement.c"],
    "keyschedule": ["core/sodium.c", "core/keyschedule.c"],
    "framer": ["core/sodium.c", "core/aead.c", "core/sealer.c", "core/opener.c"],
    "pump": [],
    "relay": [
        *(f"core/{stem}.c" for stem in ("sodium", "aead", "sealer", "opener", "keyschedule")),
        *(str(path.relative_to("ext")) for path in sorted(Path("ext/core").glob("relay*.c"))),
    ],
    "kernel": ["bpf/loader.c", "bpf/ring.c"],
}
DEBUG, SANITIZE, COVERAGE = (
    os.environ.get(f"PYENO_{name}") == "1" for name in ("DEBUG", "SANITIZE", "COVERAGE")
)

compile_args = ["-std=c11", "-O0" if DEBUG else "-O3", "-fvisibility=hidden"]
compile_args += ["-Wall", "-Wextra", "-Wno-unused-parameter"]
link_args: list[str] = []
macros: list[tuple[str, str | None]] = [("Py_LIMITED_API", "0x030B0000"), ("_GNU_SOURCE", None)]
if SANITIZE:
    compile_args += ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    link_args += ["-fsanitize=address,undefined"]
if COVERAGE:
    compile_args += ["--coverage"]
    link_args += ["--coverage"]
    macros += [("CYTHON_TRACE", "1")]

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"pyeno._native.{stem}",
                [f"ext/cython/{stem}.pyx", *(f"ext/{source}" for source in sources)],
                depends=sorted(map(str, Path("ext").glob("*/*.h"))),
                include_dirs=["ext/wire", "ext/core", "ext/bpf"],
                define_macros=macros,
                extra_compile_args=compile_args,
                extra_link_args=link_args,
                libraries=["dl"],
                py_limited_api=True,
            )
            for stem, sources in STAGES.items()
        ],
        include_path=["ext/cython", "."],
        compiler_directives={
            "language_level": "3str",
            "binding": False,
            "boundscheck": False,
            "wraparound": False,
            "embedsignature": False,
            "linetrace": COVERAGE,
        },
    ),
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
