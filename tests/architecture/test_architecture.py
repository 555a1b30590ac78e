"""House rules that no off-the-shelf linter knows; each is tried on a seeded breach."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ovfarm.hardware import SandboxLevel
from ovfarm.recipes import Kind

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("ovfarm", "storage", "workers", "api", "migrations", "ops")
LONGEST_FILE, LONGEST_FUNCTION = 300, 40
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "service", "base", "misc", "core"}
# Calls that run code or overwrite files when they open an upload. An exception names module, call and the
# sandbox level that it needs.
BANNED_READERS = {
    "convert_model", "torch.load", "torch.jit.load", "torch.export.load", "pickle.load", "pickle.loads",
    "joblib.load", "dill.load", "cloudpickle.load", "cloudpickle.loads", "marshal.loads", "eval", "exec",
    "import_model",
}  # fmt: skip
ALLOWED_READERS: dict[tuple[str, str], SandboxLevel] = {
    ("workers/kit/programs.py", "torch.jit.load"): SandboxLevel.FULL,
    ("workers/kit/programs.py", "torch.export.load"): SandboxLevel.FULL,
    # On what these two have loaded, never on a path.
    ("workers/kit/programs.py", "ov.convert_model"): SandboxLevel.FULL,
    # On the caller's own object, in the caller's own process; a path is refused.
    ("ovfarm/local.py", "ov.convert_model"): SandboxLevel.NONE,
    # On what the same function exported a moment ago, never on a file that somebody brought.
    ("workers/kit/model_cache.py", "ov.Core().import_model"): SandboxLevel.NONE,
}
CLOCKS = {"datetime.now", "datetime.utcnow", "time.time"}
# Edges that show an age to a person, or give SQLite its clock (storage.database).
MAY_READ_THE_CLOCK = {"api/routes/jobs.py", "storage/database.py"}

Tree = ast.Module
Check = Callable[[Tree, str], Iterator[str]]


def sources(*packages: str) -> list[Path]:
    return [f for p in packages for f in sorted((ROOT / p).rglob("*.py"))]


def calls(tree: Tree) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def commits(tree: Tree, name: str) -> Iterator[str]:
    """Storage functions never commit; edges do, by leaving ``Database.write``."""
    if name.startswith("storage/"):
        yield from (f"{name}: {call}" for call, _ in calls(tree) if call.endswith(".commit"))


def readers(tree: Tree, name: str) -> Iterator[str]:
    for call, node in calls(tree):
        banned = any(call == b or call.endswith("." + b) for b in BANNED_READERS)
        pickles = any(
            k.arg == "allow_pickle" and getattr(k.value, "value", 0) is not False for k in node.keywords
        )
        if (banned or pickles) and (name, call) not in ALLOWED_READERS:
            yield f"{name}: {call}"


def clocks(tree: Tree, name: str) -> Iterator[str]:
    if name not in MAY_READ_THE_CLOCK:
        yield from (f"{name}: {call}" for call, _ in calls(tree) if call in CLOCKS)


def long_functions(tree: Tree, name: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield f"{name}: {node.name} has {length} lines"


CHECKS: dict[Check, str] = {
    commits: "def f(s):\n    s.commit()",
    readers: "import openvino as ov\nov.convert_model('x.onnx')",
    clocks: "import time\nt = time.time()",
    long_functions: "def f():\n" + "    x = 1\n" * 41,
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_rule_holds(check: Check) -> None:
    scope = sources(*SHIPPED, "docs", "tests") if check is long_functions else sources(*SHIPPED)
    breaches = [
        breach
        for file in scope
        if "migrations/versions" not in file.as_posix()
        for breach in check(ast.parse(file.read_text()), file.relative_to(ROOT).as_posix())
    ]
    assert breaches == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_rule_sees_a_breach(check: Check) -> None:
    assert list(check(ast.parse(CHECKS[check]), "storage/seeded.py"))


@pytest.mark.parametrize(
    "call", ["torch.load(p)", "pickle.loads(b)", "np.load(p, allow_pickle=True)", "eval(t)"]
)
def test_every_dangerous_reader_is_seen(call: str) -> None:
    assert list(readers(ast.parse(call), "workers/steps/seeded.py"))


def test_every_reader_that_is_allowed_is_used_behind_its_gate() -> None:
    for (name, call), level in ALLOWED_READERS.items():
        tree = ast.parse((ROOT / name).read_text())
        assert call in [found for found, _ in calls(tree)], (name, call)
        tests = [ast.unparse(node.test) for node in ast.walk(tree) if isinstance(node, ast.If)]
        assert level is not SandboxLevel.FULL or "not bench.torch_programs" in tests, name


def test_files_are_short_and_named_for_what_they_hold() -> None:
    for file in sources(*SHIPPED, "docs", "tests"):
        if "migrations/versions" not in file.as_posix():
            assert len(file.read_text().splitlines()) <= LONGEST_FILE, file
        assert file.stem not in EMPTY_NAMES, file


def test_every_kind_has_a_step_a_test_and_a_paragraph() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text()
    tested = " ".join(f.read_text() for f in (ROOT / "tests").rglob("test_*.py"))
    modules = {f.stem for f in (ROOT / "workers" / "steps").glob("*.py")} - {"__init__"}
    assert modules == {kind.value for kind in Kind}
    for kind in Kind:
        assert f"\n## {kind}\n" in page
        assert f"{kind}.run(" in tested or kind is Kind.PROBE
        tree = ast.parse((ROOT / "workers" / "steps" / f"{kind}.py").read_text())
        public = [n for n in tree.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
        assert [function.name for function in public] == ["run"]
        (run,) = public
        arguments = [(a.arg, ast.unparse(a.annotation)) for a in run.args.args if a.annotation]
        assert arguments == [("params", kind.value.capitalize()), ("bench", "Bench")]
        assert run.returns is not None
        assert ast.unparse(run.returns) == "StepResult"


HEAVY = {
    "sqlalchemy",
    "fastapi",
    "starlette",
    "celery",
    "kombu",
    "openvino",
    "nncf",
    "numpy",
    "torch",
    "obstore",
}
TOOLCHAIN = {"openvino", "nncf", "numpy", "torch", "sklearn", "scipy"}


def loaded(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import ovfarm, ovfarm.client, ovfarm.cli, ovfarm.plan, ovfarm.local", HEAVY),
        ("import ovfarm", HEAVY | {"httpx", "pydantic"}),
        ("import api.serving, api.__main__", TOOLCHAIN),
        ("import api.operate, api.__main__", TOOLCHAIN | {"fastapi", "uvicorn", "celery"}),
        ("import workers.__main__, workers.zygote", TOOLCHAIN),
    ],
)
def test_imports_stay_light(statement: str, forbidden: set[str]) -> None:
    assert not loaded(statement) & forbidden


def test_a_heavy_import_would_be_seen() -> None:
    assert "numpy" in loaded("import workers.kit.stats")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.splitlines()]


def hosts(text: str) -> list[str]:
    """Return what names a package registry's host, or a path of some machine."""
    names = [
        r"pypi\." + "org",
        "pythonhosted" + r"\.org",
        r"registry\.npm" + r"js\.org",
        r"deb\." + "debian",
        "/root/" + r"\.pyenv",
    ]
    return [found for name in names for found in re.findall(name, text)]


def test_no_file_names_a_registry_or_a_machine() -> None:
    for file in tracked():
        if file.is_file():
            assert hosts(file.read_text(errors="replace")) == [], file
    assert hosts("https://pypi" + ".org/simple")


@pytest.mark.parametrize("name", ["core", "dev", "hf"])
def test_locks_are_plain_pins(name: str) -> None:
    for line in (ROOT / "requirements" / f"{name}.lock").read_text().splitlines():
        assert re.match(r"^[A-Za-z0-9._\[\]-]+==[A-Za-z0-9.+]+( ; .+)?$", line), line


def test_locks_hold_what_the_project_asks_for() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["server"], *extras["worker"], *extras["dev"]]
    lock = (ROOT / "requirements" / "dev.lock").read_text().lower().splitlines()
    core = (ROOT / "requirements" / "core.lock").read_text().lower().splitlines()
    for requirement in asked:
        if not requirement.startswith("ovfarm["):
            assert "==" in requirement, requirement
            pin = re.sub(r"\[.*\]", "", requirement).lower()
            assert any(line.split(" ;")[0] == pin for line in lock), pin
    assert set(core) <= set(lock)
    hf = (ROOT / "requirements" / "hf.lock").read_text()
    assert "torchvision" not in hf
    assert "torch==" not in hf


def test_the_launcher_is_a_shell_script_that_can_be_run() -> None:
    farm = ROOT / "farm"
    assert farm.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", str(farm)], check=True)
    assert "farm test" in (ROOT / ".ci" / "run").read_text()
