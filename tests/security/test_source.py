"""What the code must never do, found in its syntax trees. Every rule is shown to find what it forbids."""

import ast
import re
import string

import pytest

from unweave.config import PROJECT

PLAIN_PICKLE = "src/unweave/datasets/plain_pickle.py"
SOURCES = sorted([*PROJECT.glob("src/**/*.py"), *PROJECT.glob("workflow/notebooks/**/*.py")])
RULES = sorted([PROJECT / "Snakefile", *PROJECT.glob("workflow/**/*.smk")])
CODE_CARRYING = ("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
FORBIDDEN_CALLS = {
    "eval": "runs text as code",
    "exec": "runs text as code",
    "os.system": "runs text in a shell",
    "os.popen": "runs text in a shell",
    "yaml.load": "may build any object",
    "yaml.unsafe_load": "builds any object",
    "yaml.full_load": "may build any object",
    "yaml.Loader": "may build any object",
    "yaml.UnsafeLoader": "builds any object",
    "pd.read_pickle": "runs code of the file",
    "pandas.read_pickle": "runs code of the file",
    "shutil.unpack_archive": "may write outside its folder",
}
EXTRACTING = ("extractall", "extract")


def dotted(node):
    """`a.b.c` of nested attributes, or an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else f".{node.attr}"
    return ""


def is_false(node):
    return isinstance(node, ast.Constant) and node.value is False


def violations(text, path="planted.py"):
    """Line and reason of everything forbidden in a source."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if path != PLAIN_PICKLE and any(name.partition(".")[0] in CODE_CARRYING for name in names):
                found.append((node.lineno, f"imports {names[0]}, whose files may run code"))
        elif isinstance(node, ast.Call):
            found += [(node.lineno, reason) for reason in call_violations(node)]
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "trust_remote_code" and not is_false(value):
                    found.append((node.lineno, "trusts code of a repository"))
    return found


def call_violations(node):
    name = dotted(node.func)
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if name in FORBIDDEN_CALLS:
        yield f"{name} {FORBIDDEN_CALLS[name]}"
    if name.endswith(("pickle.load", "pickle.loads")):
        yield f"{name} runs code of the file"
    weights_only = given.get("weights_only")
    if name == "torch.load" and not (isinstance(weights_only, ast.Constant) and weights_only.value is True):
        yield "torch.load without weights_only=True runs code of the file"
    if "trust_remote_code" in given and not is_false(given["trust_remote_code"]):
        yield "trusts code of a repository"
    if "allow_pickle" in given and not is_false(given["allow_pickle"]):
        yield "allow_pickle runs code of the file"
    if "shell" in given and not is_false(given["shell"]):
        yield "runs text in a shell"
    if isinstance(node.func, ast.Attribute) and node.func.attr in EXTRACTING:
        yield "extracts an archive where its members say: read members by name instead"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_a_source_does_nothing_forbidden(path):
    assert violations(path.read_text(encoding="utf-8"), path.relative_to(PROJECT).as_posix()) == []


@pytest.mark.parametrize(
    "planted",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib",
        "pickle.loads(content)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=setting)",
        "options = {'trust_remote_code': True}",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "loader = yaml.UnsafeLoader(text)",
        "subprocess.run(command, shell=True)",
        "os.system(command)",
        "eval(text)",
        "tarfile.open(path).extractall(folder)",
        "archive.extract(member, folder)",
        "pd.read_pickle(path)",
    ],
)
def test_a_planted_violation_is_found(planted):
    assert violations(f"def stage():\n    {planted}\n"), planted


@pytest.mark.parametrize(
    "sound",
    [
        "torch.load(path, weights_only=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=False)",
        "np.load(path)",
        "yaml.safe_load(text)",
        "subprocess.run(command)",
    ],
)
def test_what_is_allowed_is_not_found(sound):
    assert violations(sound) == []


def test_the_one_unpickler_refuses_every_class():
    tree = ast.parse((PROJECT / PLAIN_PICKLE).read_text(encoding="utf-8"))
    (unpickler,) = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    (method,) = [node for node in unpickler.body if isinstance(node, ast.FunctionDef)]
    assert method.name == "find_class"
    assert isinstance(method.body[-1], ast.Raise)
    assert "pickle.load" not in {dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def commands(text):
    """Every shell command of a Snakefile, as it is written."""
    found = re.findall(r'\bshell:\n((?: *".*"\n)+)', text)
    assert len(found) == len(re.findall(r"\bshell *[:(]", text)), "a command is written in a way that is not read here"
    return ["".join(re.findall(r'"(.*)"\n', lines)) for lines in found]


def unquoted(command):
    """What is put into a command without quotes, so that the shell reads it."""
    return [name for _, name, form, _ in string.Formatter().parse(command) if name is not None and form != "q"]


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_every_value_in_a_command_is_quoted(path):
    assert [unquoted(command) for command in commands(path.read_text(encoding="utf-8")) if unquoted(command)] == []


def test_an_unquoted_value_in_a_planted_command_is_found():
    (command,) = commands('rule:\n    shell:\n        "cat {input:q} {input.more}"\n        " {params.some} > {log}"\n')
    assert unquoted(command) == ["input.more", "params.some", "log"]


@pytest.mark.parametrize("planted", ['    shell: "cat {input}"\n', "        shell('cat {input}')\n"])
def test_a_command_that_cannot_be_read_is_found(planted):
    with pytest.raises(AssertionError, match="in a way that is not read"):
        commands(planted)
