"""Broken dataset YAMLs: the text, the keys, the classes."""

from __future__ import annotations

from tests.corpus.generator import (
    Expected,
    case,
    content,
    keys,
    picture,
    removed,
    sparse,
    warning,
    yaml_text,
)

RUNS_CODE = "import os, pathlib; pathlib.Path(os.environ['MARK']).touch()"
"""Leaves a file where the variable MARK says, so that a test sees whether it was run."""


NESTED_ALIASES = "\n".join(
    ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
)

TEXT = [
    case("yaml-missing", "The file does not exist", removed("data.yaml"), Expected("dataset-missing")),
    case("yaml-empty", "The file is empty", content("data.yaml", ""), Expected("yaml-type")),
    case("yaml-comments-only", "Every line is a comment", content("data.yaml", "# a\n# b\n"), Expected("yaml-type")),
    case("yaml-list", "A list in place of a mapping", content("data.yaml", "- train\n- val\n"), Expected("yaml-type")),
    case("yaml-prose", "A sentence in place of a mapping", content("data.yaml", "my data\n"), Expected("yaml-type")),
    case(
        "yaml-two-documents",
        "Two documents in one file",
        content("data.yaml", f"{yaml_text()}---\na: 1\n"),
        Expected("yaml-syntax", line=13),
    ),
    case(
        "yaml-tab",
        "A line indented by a tab",
        keys(names="names:\n\t0: mouse\n\t1: rat"),
        Expected("yaml-syntax", line=4),
    ),
    case(
        "yaml-open-bracket",
        "A bracket is not closed",
        keys(kpt_shape="kpt_shape: [4, 3"),
        Expected("yaml-syntax", line=6),
    ),
    case(
        "yaml-open-quote",
        "A quotation mark is not closed",
        keys(train='train: "images/train'),
        Expected("yaml-syntax", line=1),
    ),
    case(
        "yaml-indent",
        "A key is indented more than its neighbours",
        keys(flip_idx="   flip_idx: [0, 2, 1, 3]"),
        Expected("yaml-syntax", line=7),
    ),
    case("yaml-no-colon", "The colon is missing", keys(kpt_shape="kpt_shape [4, 3]"), Expected("yaml-syntax", line=6)),
    case(
        "yaml-no-blank", "No blank after the colon", keys(kpt_shape="kpt_shape:[4, 3]"), Expected("yaml-syntax", line=6)
    ),
    case(
        "yaml-two-colons", "A second colon in one line", keys(val="val: images: val"), Expected("yaml-syntax", line=2)
    ),
    case(
        "yaml-latin-1",
        "Saved as Latin-1",
        content("data.yaml", yaml_text(names="names: [souris, écureuil]").encode("latin-1")),
        Expected("yaml-encoding", line=3),
    ),
    case(
        "yaml-utf-16", "Saved as UTF-16", content("data.yaml", yaml_text().encode("utf-16")), Expected("yaml-encoding")
    ),
    case(
        "yaml-is-a-picture",
        "A picture named data.yaml",
        lambda root: picture(1).save(root / "data.yaml", "PNG"),
        Expected("yaml-encoding"),
    ),
    case(
        "yaml-control-character",
        "A control character in a name",
        keys(names="names: [mo\x01use, rat]"),
        Expected("yaml-syntax", line=3),
    ),
    case(
        "yaml-impossible-date",
        "A date that there is not",
        keys(date="date: 2020-99-99"),
        Expected("yaml-value", line=13),
    ),
    case(
        "yaml-python-object",
        "A tag that would run a command",
        keys(author=f'author: !!python/object/apply:exec ["{RUNS_CODE}"]'),
        Expected("yaml-value", line=13),
    ),
    case(
        "yaml-merge-of-a-word",
        "A word where a mapping is merged",
        keys(more="<<: defaults"),
        Expected("yaml-value", line=13),
    ),
    case("yaml-huge", "One gigabyte of zeros", sparse("data.yaml", 1 << 30), Expected("yaml-too-large"), heavy=True),
    case(
        "yaml-nested-aliases",
        "Aliases of aliases, 2 * 9^11 values when written out",
        keys(notes=NESTED_ALIASES),
        Expected("yaml-too-large"),
        also="unknown-key",
        heavy=True,
    ),
    case(
        "yaml-deep-nesting",
        "Brackets nested 100,000 deep",
        keys(notes=f"notes: {'[' * 100_000}{']' * 100_000}"),
        Expected("yaml-too-large"),
        heavy=True,
    ),
    case(
        "yaml-endless-alias",
        "A list that contains itself",
        keys(names="names: &a [*a, rat]"),
        Expected("yaml-too-large"),
    ),
]

KEY_CASES = [
    case(
        "key-twice", "kpt_shape is written twice", keys(again="kpt_shape: [4, 2]"), Expected("duplicate-key", line=13)
    ),
    case(
        "class-twice",
        "Class 0 is written twice",
        keys(names="names:\n  0: mouse\n  0: rat"),
        Expected("duplicate-key", line=5),
        also="names-gaps class-range kpt-names",
    ),
    case(
        "key-misspelt",
        "flip_index for flip_idx",
        keys(flip_idx="flip_index: [0, 2, 1, 3]"),
        warning("unknown-key", line=7),
        warning("flip-idx-missing"),
    ),
    case(
        "key-misspelt-needed",
        "kpt_shapes for kpt_shape",
        keys(kpt_shape="kpt_shapes: [4, 3]"),
        warning("unknown-key", line=6),
        Expected("missing-key"),
    ),
    case(
        "key-capital",
        "Train for train",
        keys(train="Train: images/train"),
        warning("unknown-key", line=1),
        Expected("missing-key"),
    ),
    case("key-number", "A number for a key", keys(more="7: seven"), warning("unknown-key", line=13)),
    case("key-null", "Nothing for a key", keys(more="~: nothing"), warning("unknown-key", line=13)),
    case("train-number", "train is a number", keys(train="train: 5"), Expected("key-type", line=1)),
    case(
        "train-mapping", "train is a mapping", keys(train="train: {images: images/train}"), Expected("key-type", line=1)
    ),
    case(
        "train-list-of-numbers", "train is a list of numbers", keys(train="train: [1, 2]"), Expected("key-type", line=1)
    ),
    case("path-list", "path is a list", keys(path="path: [a, b]"), Expected("key-type", line=13)),
    case("train-without-value", "Nothing after train:", keys(train="train:"), Expected("missing-key", line=1)),
    case("train-missing", "No train", keys(train=None), Expected("missing-key")),
    case("val-missing", "No val", keys(val=None), Expected("missing-key")),
    case("names-missing", "Neither names nor nc", keys(names=None), Expected("missing-key")),
    case("names-without-value", "Nothing after names:", keys(names="names:"), Expected("missing-key", line=3)),
    case("names-empty-list", "An empty list of classes", keys(names="names: []"), Expected("names-empty", line=3)),
    case(
        "names-empty-mapping", "An empty mapping of classes", keys(names="names: {}"), Expected("names-empty", line=3)
    ),
    case("names-text", "A text in place of a list", keys(names="names: mouse, rat"), Expected("names-type", line=3)),
    case("names-number", "A number in place of a list", keys(names="names: 2"), Expected("names-type", line=3)),
    case(
        "names-inverted",
        "Names lead to numbers",
        keys(names="names:\n  mouse: 0\n  rat: 1"),
        Expected("names-type", line=(3, 4)),
    ),
    case(
        "names-nested",
        "A class that is a list",
        keys(names="names:\n  - [mouse, mice]\n  - rat"),
        Expected("names-type", line=(3, 4)),
    ),
    case(
        "names-yes-and-no",
        "YAML reads yes and no as true and false",
        keys(names="names:\n  0: yes\n  1: no"),
        Expected("names-type", line=(3, 4)),
    ),
    case(
        "names-without-text",
        "A class without a name",
        keys(names="names:\n  0: mouse\n  1:"),
        Expected("names-type", line=(3, 5)),
    ),
    case(
        "names-gap",
        "Class 1 is left out",
        keys(names="names:\n  0: mouse\n  2: rat"),
        Expected("names-gaps", line=(3, 5)),
        also="class-range class-never-seen kpt-names",
    ),
    case(
        "names-from-one",
        "Classes are counted from 1",
        keys(names="names:\n  1: mouse\n  2: rat"),
        Expected("names-gaps", line=(3, 4)),
        also="class-range class-never-seen kpt-names",
    ),
    case(
        "names-negative",
        "A negative class",
        keys(names="names:\n  -1: mouse\n  0: rat"),
        Expected("names-gaps", line=(3, 4)),
        also="class-range class-never-seen kpt-names",
    ),
    case(
        "names-alike",
        "Two classes of one name",
        keys(names="names:\n  0: mouse\n  1: mouse"),
        warning("names-duplicate", line=(3, 5)),
    ),
    case("nc-mismatch", "Three classes announced, two named", keys(nc="nc: 3"), Expected("names-nc-mismatch", line=13)),
    case("nc-word", "nc is a word", keys(nc="nc: two"), Expected("nc-type", line=13)),
    case("nc-fraction", "nc is 2.5", keys(nc="nc: 2.5"), Expected("nc-type", line=13)),
    case("nc-truth", "nc is a truth value", keys(nc="nc: true"), Expected("nc-type", line=13)),
    case(
        "nc-huge",
        "A billion classes, without names",
        keys(names=None, nc="nc: 1000000000", kpt_names=None),
        Expected("nc-type", line=7),
        heavy=True,
    ),
    case(
        "nc-zero", "nc is 0, without names", keys(names=None, nc="nc: 0", kpt_names=None), Expected("nc-type", line=7)
    ),
    case("channels-zero", "No channels", keys(channels="channels: 0"), Expected("channels", line=13)),
    case("channels-word", "channels is a word", keys(channels="channels: rgb"), Expected("channels", line=13)),
    case("channels-fraction", "channels is 2.5", keys(channels="channels: 2.5"), Expected("channels", line=13)),
    case(
        "download-code",
        "download: holds Python code",
        keys(download=f'download: "{RUNS_CODE}"'),
        warning("download-ignored", line=13),
    ),
    case(
        "download-code-needed",
        "download: holds Python code, and the images are missing",
        keys(val="val: images/gone", download=f'download: "{RUNS_CODE}"'),
        Expected("split-missing-path", line=2),
        warning("download-ignored", line=13),
    ),
]

CASES = [*TEXT, *KEY_CASES]
