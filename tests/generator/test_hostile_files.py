"""Generator files that were written to harm whoever opens them: refused in one short and harmless sentence."""

import json
import struct
import tracemalloc

import pytest

from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from small import ATTRIBUTES, small_generator

LONG = "z" * 1_000_000
NINES = "9" * 5_000
CONTROL = "\x1b]0;owned\x07"
FIRST = "base.layers.0.weight"


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The content of a conditional generator's file."""
    path = tmp_path_factory.mktemp("hostile") / "g.safetensors"
    small_generator(**ATTRIBUTES).save(path)
    return path.read_bytes()


def refusal(path):
    """The message of a refusal, after checking that a terminal can show it."""
    with pytest.raises(UserError) as raised:
        Generator.load(path)
    message = str(raised.value)
    assert len(message) < 1_000
    assert message.isprintable()
    return message


def write_with(path, content, edit):
    """Write a file whose table of contents `edit` has changed as text."""
    end = 8 + struct.unpack("<Q", content[:8])[0]
    table = edit(content[8:end].decode()).encode("utf-8", "surrogatepass")
    path.write_bytes(struct.pack("<Q", len(table)) + table + content[end:])
    return path


def edit_header(name, value):
    """An edit that sets a field of the generator's header to a piece of JSON."""

    def edit(text):
        table = json.loads(text)
        header = json.loads(table["__metadata__"]["nijigan"]) | {name: "@"}
        return json.dumps(table | {"__metadata__": {"nijigan": json.dumps(header).replace('"@"', value)}})

    return edit


def edit_entry(**fields):
    """An edit that changes what the table says about the first tensor."""

    def edit(text):
        table = json.loads(text)
        return json.dumps(table | {FIRST: table[FIRST] | fields})

    return edit


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("format", NINES, "damaged header: number out of range"),
        ("format", f"-{NINES}", "damaged header: number out of range"),
        ("kimg", "1e999", "must be finite numbers"),
        ("resolution", "1e400", "resolution: Input should be a finite number"),
        ("recipe", f'{{"kimg": {NINES}}}', "damaged header: number out of range"),
        ("recipe", "[" * 100_000, "damaged header: recursion limit"),
        ("metrics", '{"a": ' * 190 + "1" + "}" * 190, "metrics.a: Input should be a valid number"),
        ("metrics", r'{"\u001b]0;owned\u0007": "x"}', r"metrics.\x1b]0;owned\x07: Input should be"),
        ("metrics", r'{"\ud800": 1}', "damaged header: unexpected end of hex escape"),
        ("description", r'"\ud800"', "damaged header: unexpected end of hex escape"),
        (LONG, "1", "Unexpected keyword argument"),
        (CONTROL, "1", r"\x1b]0;owned\x07: Unexpected keyword argument"),
        ("generator", f'{{"kind": "{LONG}"}}', "generator.kind: Input should be 'dcgan'"),
        ("attributes", f'{{"{"a" * 1_000_000}": ["x"]}}', "name of an attribute may contain at most 100"),
        ("attributes", r'{"\u001b[2J": ["x", "y"]}', "name of an attribute may contain at most 100"),
        ("attributes", f'{{"hair": ["{LONG}", "y"]}}', "which cannot be requested"),
        ("attributes", json.dumps({f"a{i}": ["x", "y"] for i in range(1_000)}), "at most 32 attributes"),
        ("priors", f"[[{NINES}]]", "damaged header: number out of range"),
        ("priors", f"[{','.join(['[0,0,1]'] * 10_001)}]", "10,001 combinations (limit: 10,000)"),
    ],
)
def test_a_hostile_header_is_refused_in_a_short_sentence(tmp_path, content, name, value, sentence):
    assert sentence in refusal(write_with(tmp_path / "g.safetensors", content, edit_header(name, value)))


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (edit_entry(dtype=CONTROL), r"unknown variant `\x1b]0;owned\x07`"),
        (edit_entry(dtype=LONG), "unknown variant `zzz"),
        (edit_entry(shape=CONTROL), "expected a sequence"),
        (edit_entry(shape=[-1]), "invalid value"),
        (lambda text: text.replace(FIRST, json.dumps(CONTROL + LONG)[1:-1]), "does not hold the network"),
        (lambda text: json.dumps(json.loads(text) | {"__metadata__": {"nijigan": 7}}), "invalid type: integer"),
        (lambda text: json.dumps(json.loads(text) | {"__metadata__": LONG}), "invalid type: string"),
        (lambda text: '{"a":' * 100_000, "recursion limit exceeded"),
        (lambda text: text[:-1] + "\ud800", "invalid UTF-8"),
        (lambda text: "{}", "not fully covered"),
    ],
)
def test_a_hostile_table_of_contents_is_refused_in_a_short_sentence(tmp_path, content, edit, sentence):
    assert sentence in refusal(write_with(tmp_path / "g.safetensors", content, edit))


@pytest.mark.parametrize("length", [1, 4 << 20, (4 << 20) + 1, 2 << 30, 2**63, 2**64 - 1])
def test_the_length_that_a_file_claims_is_not_allocated(tmp_path, length):
    path = tmp_path / "g.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"x" * 100)
    tracemalloc.start()
    try:
        refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
