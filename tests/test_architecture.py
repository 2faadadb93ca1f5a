"""The shape of the package: what may import what, how large things get, what the public names are."""

import ast
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "cuvee"

LEVELS = (
    ("_version", "_verbs", "units", "errors", "files", "plain_yaml", "metrics_text"),
    ("catalog", "workload"),
    ("profile",),
    ("plan",),
    ("study",),
    ("routing",),
    ("simulate", "serve"),
    ("deploy",),
    ("control",),
    ("evaluate",),
    ("report",),
    ("cli", "web"),
)
"""The data flow: imports point to an earlier level or stay on their own."""

CODE_MAP = (ROOT / "docs" / "code-map.md").read_text(encoding="utf-8")
ROOMS_OF_PLAN = tuple((room,) for room, _ in groupby(re.findall(r"^\| `plan/(\w+)", CODE_MAP, re.MULTILINE)))
"""The same within `cuvee.plan`: its rooms, and the modules that stand in none, as the map of the code lists them."""

STRANGERS = (("catalog", "workload"), ("simulate", "serve"))
"""On one level, and yet never importing each other."""

MAY_LOAD: dict[str, frozenset[str]] = {
    "aiohttp": frozenset(),  # an extra: cuvee.profile.measure.client loads it inside its functions
    "highspy": frozenset(),  # cuvee.plan.solver.program loads it inside the function that solves
    # edges whose importers load them inside a function
    "pydantic": frozenset(
        {"cuvee.plan.scenario.scenario", "cuvee.serve.replicas_schema", "cuvee.deploy.engines_schema"}
    ),
}
"""Modules that may import a slow package when they are imported themselves."""

MOST_LINES = 400
MOST_FUNCTION_LINES = 60
LONG_ON_PURPOSE: dict[str, str] = {
    "cuvee.simulate.play.play_on": "helpers are copied into it, each at one place: a call with arrays takes longer",
}
"""Larger files ("cuvee.plan.planner") and functions ("cuvee.plan.planner.plan"), each with the reason."""

PUBLIC_NAMES = (
    # what can be rented and served
    "GpuType",
    "load_gpu_types",
    "Offer",
    "OfferSet",
    "load_offers",
    "ModelSpec",
    "load_model",
    # what is asked
    "Trace",
    "load_trace",
    "summarize",
    "WorkloadType",
    "Demand",
    "classify",
    "load_mix",
    # how fast
    "find_engine",
    "profile",
    # what to rent, how to deploy it, what goes where
    "ModelDemand",
    "Limits",
    "Objective",
    "SearchOptions",
    "PlanProblem",
    "Scenario",
    "load_scenario",
    "prepare",
    "prepare_scenario",
    "plan",
    "plan_prepared",
    "Plan",
    # how good it is, and why
    "check",
    "explain",
    "compare",
    # kept
    "plan_to_json",
    "load_plan",
    # the rest
    "CuveeError",
    "InputError",
    "DoesNotFitError",
    "__version__",
)
"""`cuvee.__all__`, in the order a plan comes about."""


def name_of(path: Path) -> str:
    return ".".join(("cuvee", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
each_module = pytest.mark.parametrize("module", MODULES)


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def targets(node: ast.AST) -> list[str]:
    """Modules that an import statement names: `from package import module` is the module, not the package."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        base = node.module or ""
        inner = [f"{base}.{alias.name}" for alias in node.names]
        return sorted({name if name in MODULES else base for name in inner})
    return []


def imports_of(module: str) -> set[str]:
    """Modules named by any import of `module`, wherever it stands."""
    return {target for node in ast.walk(tree_of(module)) for target in targets(node)}


def loaded_with(module: str) -> set[str]:
    """Modules named by imports that run when `module` is imported: not those in functions or for type checkers."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(tree_of(module).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
            continue
        found.update(targets(node))
        waiting.extend(ast.iter_child_nodes(node))
    return found


def part_of(module: str) -> str:
    """Folder or file right under the package, e.g. "plan"; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def level_of(part: str, levels: Sequence[Sequence[str]] = LEVELS) -> int:
    return next((level for level, parts in enumerate(levels) if part in parts), -1)


def room_of(module: str) -> str:
    """Room of `cuvee.plan` in which a module stands, or the module itself; "" for modules of other packages."""
    parts = module.split(".")
    return parts[2] if parts[1:2] == ["plan"] and len(parts) > 2 else ""


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_part_has_a_level():
    """A new folder is entered in the list of levels before anything can import it."""
    unplaced = {part_of(module) for module in MODULES} - {"", "__main__"} - {part for parts in LEVELS for part in parts}
    assert not unplaced


@each_module
def test_imports_point_up_the_data_flow(module):
    """A module imports only what comes before it in the data flow; the package's own front is for users."""
    part = part_of(module)
    if part in ("", "__main__"):
        return
    for target in imports_of(module):
        if target.split(".")[0] != "cuvee":
            continue
        other = part_of(target)
        assert other, f"{module} imports from cuvee itself; import from the module that defines the name"
        assert level_of(other) <= level_of(part), f"{module} imports {target}, which comes later in the data flow"
        apart = other != part and any({other, part} == set(pair) for pair in STRANGERS)
        assert not apart, f"{module} imports {target}: {part} and {other} must not know each other"


def test_every_room_of_the_planner_has_a_level():
    """The same for the rooms of the planner, each a level of its own."""
    rooms = {room_of(module) for module in MODULES} - {""}
    assert sorted(rooms) == sorted(room for (room,) in ROOMS_OF_PLAN)


@each_module
def test_imports_point_up_the_rooms_of_the_planner(module):
    """Within the planner too, a module imports only what comes before it in the data flow."""
    room = room_of(module)
    for target in imports_of(module) if room else ():
        other = room_of(target)
        later = other and level_of(other, ROOMS_OF_PLAN) > level_of(room, ROOMS_OF_PLAN)
        assert not later, f"{module} imports {target}, which comes later in the data flow"


def test_modules_have_no_cycles():
    """No module imports itself by way of others, not even inside a function."""
    graph = {module: imports_of(module) & set(MODULES) - {module, "cuvee"} for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@each_module
def test_imports_are_absolute(module):
    """`from . import x` does not occur."""
    assert not [
        node.lineno for node in ast.walk(tree_of(module)) if isinstance(node, ast.ImportFrom) and node.level > 0
    ]


@each_module
def test_slow_packages_are_loaded_late(module):
    """Importing a module does not load the solver or the validation library."""
    loaded = {target.split(".")[0] for target in loaded_with(module)}
    too_early = [package for package, allowed in MAY_LOAD.items() if package in loaded and module not in allowed]
    assert not too_early, f"{module} imports {too_early} at the top; do so inside the function that needs it"


def test_help_starts_without_slow_packages():
    """`cuvee --help` answers before the solver, arrays or validation are loaded."""
    output = run_python(
        "import sys\n"
        "from cuvee.cli.main import app\n"
        "try:\n"
        "    app(['--help'])\n"
        "except SystemExit as ended:\n"
        "    assert not ended.code, ended.code\n"
        "print('loaded:', *sorted({'highspy', 'numpy', 'pydantic'} & set(sys.modules)))\n"
    )
    assert "Usage" in output
    assert output.splitlines()[-1].split() == ["loaded:"]


@each_module
def test_modules_say_what_they_are(module):
    """Each module begins with a docstring."""
    assert ast.get_docstring(tree_of(module)), f"{module} has no docstring"


@each_module
def test_files_and_functions_stay_small(module):
    """No file above 400 lines and no function above 60, unless the list says why."""
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES or module in LONG_ON_PURPOSE, f"{module} has {lines} lines"
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            name = f"{module}.{node.name}"
            assert length <= MOST_FUNCTION_LINES or name in LONG_ON_PURPOSE, f"{name} has {length} lines"


def test_exceptions_to_size_are_needed():
    """The list of long files and functions names nothing that is gone, and gives a reason for each."""
    for name, reason in LONG_ON_PURPOSE.items():
        assert reason
        owner = name if name in MODULES else name.rpartition(".")[0]
        assert owner in MODULES, f"{name} does not exist"


@each_module
def test_sources_hold_no_leftovers(module):
    """No notes to self and no path of a developer's machine."""
    text = MODULES[module].read_text(encoding="utf-8")
    assert not re.findall(r"\b(?:TODO|FIXME|XXX)\b", text)
    assert not re.findall(r"(?<![\w.])/(?:home|Users|root|work|tmp)/\w+", text)


def test_public_names_are_exact():
    """`cuvee.__all__` is the list above, in its order; a name is added to both or to none."""
    assert run_python("import cuvee\nprint(*cuvee.__all__)").split() == list(PUBLIC_NAMES)
    assert len(PUBLIC_NAMES) == len(set(PUBLIC_NAMES)) <= 40


def test_public_names_can_be_used():
    """Every name can be imported; a verb that is also a folder can be called, whatever was imported before."""
    everything = "".join(f"import {module}\n" for module in MODULES if not module.endswith("__main__"))
    code = (
        "import types, cuvee\n"
        "for name in cuvee.__all__:\n"
        "    value = getattr(cuvee, name)\n"
        "    if isinstance(value, types.ModuleType) and not callable(value):\n"
        "        print(name)\n"
    )
    assert run_python(code).split() == []
    assert run_python(everything + code).split() == []


def test_import_of_the_package_is_light():
    """`import cuvee` loads neither the solver nor arrays nor validation."""
    code = "import sys, cuvee\nprint(*sorted({'highspy', 'numpy', 'pydantic'} & set(sys.modules)))"
    assert run_python(code).split() == []


def test_changelog_names_the_version():
    """The newest version in CHANGELOG.md is the one the package has."""
    headings = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings, "CHANGELOG.md has no heading such as '## [0.1.0]'"
    assert run_python("from cuvee._version import __version__\nprint(__version__)").strip() == headings[0]


def test_code_map_is_complete():
    """docs/code-map.md has one line for each module that exists, and none for one that is gone."""
    listed = re.findall(r"^\| `([\w/]+\.py)` \|", CODE_MAP, re.MULTILINE)
    existing = {str(path.relative_to(PACKAGE)) for path in MODULES.values() if not path.name.startswith("__")}
    assert set(listed) == existing, f"missing: {sorted(existing - set(listed))}, gone: {sorted(set(listed) - existing)}"
    assert len(listed) == len(set(listed))
