"""Cut the embedded docstrings of Python's standard library from the installed one (PSF licence).

    python3.11 scripts/cut_python_docs.py

It parses the source files and imports none of them. It takes the docstrings of eight words or more of all modules,
classes and functions in the families below, tests excepted, each text once. The result is the same everywhere, byte for
byte, for the same release of Python.
"""

import ast
import csv
import gzip
import io
import shutil
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "scalian_exp/datasets/samples"
TARGET = SAMPLES / "python_docs.csv.gz"
LICENCE = SAMPLES / "LICENSE.python"
RELEASE = (3, 11)
WORDS = 8
"""fewest words of a docstring"""
TESTS = {"test", "tests", "idle_test"}
"""folders that are left out"""
FAMILIES = {
    "archives": "bz2 gzip lzma tarfile zipapp zipfile zipimport",
    "asyncio": "asyncio",
    "collections": "_collections_abc _weakrefset bisect collections copy graphlib heapq reprlib weakref",
    "command line": "argparse cmd code codeop configparser getopt getpass optparse shlex",
    "debugging": "bdb cProfile cgitb faulthandler inspect pdb profile pstats pydoc timeit trace traceback tracemalloc",
    "distutils": "distutils ensurepip sysconfig venv",
    "email": "base64 email imaplib mailbox mailcap mimetypes nntplib poplib quopri smtpd smtplib",
    "encodings": "codecs encodings gettext locale stringprep",
    "files": "_compression _pyio filecmp fileinput fnmatch genericpath glob io mmap ntpath os pathlib posixpath shutil"
    " stat tempfile",
    "http": "cgi http urllib webbrowser wsgiref xmlrpc",
    "idlelib": "idlelib",
    "importlib": "importlib modulefinder pkgutil runpy",
    "ipaddress": "ipaddress",
    "logging": "logging",
    "multiprocessing": "concurrent multiprocessing",
    "network": "asynchat asyncore ftplib selectors socket socketserver ssl subprocess telnetlib",
    "numbers": "_pydecimal colorsys decimal fractions numbers random secrets statistics",
    "syntax": "ast dis lib2to3 opcode symtable tabnanny token tokenize",
    "threading": "_threading_local contextlib queue sched threading",
    "time": "_strptime calendar datetime zoneinfo",
    "tkinter": "tkinter",
    "turtle": "turtle turtledemo",
    "types": "abc dataclasses enum functools operator types typing",
    "unittest": "doctest unittest",
    "xml": "html plistlib xml",
}


def docstrings(file: Path) -> Iterator[str]:
    """Yield the docstrings of a source file, in its order."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, documented)]
    for node in sorted(nodes, key=lambda node: getattr(node, "lineno", 0)):
        if text := ast.get_docstring(node):
            yield text


def texts(library: Path) -> list[tuple[str, str]]:
    """Return the family and the text of each docstring, sorted by file; repeated texts count once."""
    family = {module: name for name, modules in FAMILIES.items() for module in modules.split()}
    found: dict[str, tuple[str, str]] = {}
    for file in sorted(library.rglob("*.py"), key=lambda file: file.relative_to(library).parts):
        parts = file.relative_to(library).parts
        module = parts[0].removesuffix(".py")
        if module in family and not TESTS & set(parts):
            for text in docstrings(file):
                if len(words := text.split()) >= WORDS:
                    found.setdefault(" ".join(words), (family[module], text))
    return list(found.values())


def main() -> None:
    """Write the docstrings and their licence."""
    if sys.version_info[:2] != RELEASE:
        sys.exit(f"The sample is cut from Python 3.11, and this is {sys.version.split()[0]}; run it with python3.11.")
    library = Path(sysconfig.get_path("stdlib"))
    rows = texts(library)
    table = io.StringIO(newline="")
    csv.writer(table, lineterminator="\n").writerows([("label", "text"), *rows])
    TARGET.write_bytes(gzip.compress(table.getvalue().encode(), mtime=0))
    shutil.copyfile(library / "LICENSE.txt", LICENCE)
    print(f"{TARGET}: {len(rows):,} texts, {TARGET.stat().st_size / 1e3:.0f} kB")
    for name, count in Counter(label for label, _ in rows).most_common():
        print(f"{count:5} {name}")


if __name__ == "__main__":
    main()
