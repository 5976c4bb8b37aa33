"""Broken keys of keypoints: kpt_shape, flip_idx, kpt_names, kpt_oks_sigmas, skeleton."""

from __future__ import annotations

from tests.corpus.generator import FIRST_LABELS, Case, Expected, case, keys, warning

DEPENDENT = "label-columns flip-idx-length kpt-names sigmas skeleton"
"""What may be found as well where kpt_shape says another number of keypoints."""


def shape(name: str, why: str, value: str) -> Case:
    return case(f"kpt-shape-{name}", why, keys(kpt_shape=f"kpt_shape: {value}"), Expected("kpt-shape", line=6))


def flips(name: str, why: str, value: str, code: str) -> Case:
    return case(f"flip-idx-{name}", why, keys(flip_idx=f"flip_idx: {value}"), Expected(code, line=7))


def sigmas(name: str, why: str, value: str) -> Case:
    return case(f"sigmas-{name}", why, keys(kpt_oks_sigmas=f"kpt_oks_sigmas: {value}"), Expected("sigmas", line=11))


def skeleton(name: str, why: str, value: str) -> Case:
    return case(f"skeleton-{name}", why, keys(skeleton=f"skeleton: {value}"), Expected("skeleton", line=12))


def names(name: str, why: str, value: str) -> Case:
    return case(f"kpt-names-{name}", why, keys(kpt_names=f"kpt_names: {value}"), Expected("kpt-names", line=8))


CASES = [
    case("kpt-shape-missing", "No kpt_shape", keys(kpt_shape=None), Expected("missing-key")),
    case(
        "kpt-shape-without-value",
        "Nothing after kpt_shape:",
        keys(kpt_shape="kpt_shape:"),
        Expected("missing-key", line=6),
    ),
    shape("number", "A number in place of a list", "4"),
    shape("text", "A text in place of a list", '"4, 3"'),
    shape("one-number", "The dimensions are left out", "[4]"),
    shape("three-numbers", "A number too many", "[4, 3, 1]"),
    shape("four-dimensions", "Four numbers for a keypoint", "[4, 4]"),
    shape("no-keypoints", "No keypoints", "[0, 3]"),
    shape("negative", "A negative number of keypoints", "[-4, 3]"),
    shape("fraction", "A number of keypoints with a point", "[4.5, 3]"),
    shape("truth", "A truth value", "[true, 3]"),
    shape("words", "Words", "[four, three]"),
    case(
        "kpt-shape-huge",
        "A hundred million keypoints",
        keys(kpt_shape="kpt_shape: [100000000, 3]"),
        Expected("label-columns", FIRST_LABELS, 1),
        Expected("flip-idx-length", line=7),
        also=DEPENDENT,
        heavy=True,
    ),
    case(
        "kpt-shape-too-many",
        "Five keypoints where labels have four",
        keys(kpt_shape="kpt_shape: [5, 3]"),
        Expected("label-columns", FIRST_LABELS, 1),
        Expected("flip-idx-length", line=7),
        also=DEPENDENT,
    ),
    case(
        "kpt-shape-without-visibility",
        "[4, 2] where labels have visibility",
        keys(kpt_shape="kpt_shape: [4, 2]"),
        Expected("label-columns", FIRST_LABELS, 1),
        also="label-columns",
    ),
    flips("short", "One number is missing", "[0, 2, 1]", "flip-idx-length"),
    flips("long", "One number too many", "[0, 2, 1, 3, 4]", "flip-idx-length"),
    flips("from-one", "Counted from 1", "[1, 3, 2, 4]", "flip-idx-range"),
    flips("negative", "A negative number", "[0, 2, 1, -1]", "flip-idx-range"),
    flips("twice", "One keypoint twice, another never", "[0, 2, 2, 3]", "flip-idx-permutation"),
    flips("rotation", "A rotation: mirrored twice, keypoints do not come back", "[1, 2, 0, 3]", "flip-idx-involution"),
    flips("words", "Words", "[nose, right_ear, left_ear, tail]", "flip-idx-type"),
    flips("fractions", "Numbers with a point", "[0.0, 2.0, 1.0, 3.0]", "flip-idx-type"),
    flips("truth", "Truth values", "[false, 2, true, 3]", "flip-idx-type"),
    flips("nested", "A list of pairs", "[[1, 2]]", "flip-idx-type"),
    flips("text", "A text in place of a list", '"0, 2, 1, 3"', "flip-idx-type"),
    flips("number", "A number in place of a list", "1", "flip-idx-type"),
    case("flip-idx-missing", "No flip_idx while images are mirrored", keys(flip_idx=None), warning("flip-idx-missing")),
    case(
        "flip-idx-empty",
        "An empty flip_idx while images are mirrored",
        keys(flip_idx="flip_idx: []"),
        warning("flip-idx-missing", line=7),
    ),
    case(
        "flip-idx-identity",
        "Left and right ear are not exchanged",
        keys(flip_idx="flip_idx: [0, 1, 2, 3]"),
        warning("flip-idx-names", line=7),
    ),
    case(
        "flip-idx-wrong-pair",
        "Nose and left ear are exchanged",
        keys(flip_idx="flip_idx: [1, 0, 2, 3]"),
        warning("flip-idx-names", line=7),
    ),
    names("too-few", "Three names for four keypoints", "{0: [a, b, c], 1: [a, b, c]}"),
    names("too-many", "Five names for four keypoints", "{0: [a, b, c, d, e], 1: [a, b, c, d, e]}"),
    case(
        "kpt-names-class-missing",
        "Names for one of two classes",
        keys(kpt_names="kpt_names: {0: [a, b, c, d]}"),
        Expected("kpt-names", line=8),
    ),
    case(
        "kpt-names-class-unknown",
        "Names for a class that there is not",
        keys(kpt_names="kpt_names: {0: [a, b, c, d], 1: [a, b, c, d], 2: [a, b, c, d]}"),
        Expected("kpt-names", line=8),
    ),
    names("text", "A text in place of a list", "{0: a b c d, 1: a b c d}"),
    names("number", "A number in place of names", "4"),
    sigmas("short", "Three sigmas for four keypoints", "[0.05, 0.05, 0.05]"),
    sigmas("negative", "A negative sigma", "[0.05, 0.05, 0.05, -0.05]"),
    sigmas("zero", "A sigma of 0, by which is divided", "[0.05, 0.05, 0.05, 0]"),
    sigmas("words", "Words", "[small, small, small, large]"),
    sigmas("infinite", "An infinite sigma", "[0.05, 0.05, 0.05, .inf]"),
    sigmas("number", "A number in place of a list", "0.05"),
    case(
        "sigmas-missing",
        "No sigmas for keypoints other than those of people",
        keys(kpt_oks_sigmas=None),
        warning("sigmas-default"),
    ),
    skeleton("range", "A bone to keypoint 4, where the last is 3", "[[0, 1], [0, 4]]"),
    skeleton("from-one", "Counted from 1", "[[1, 2], [1, 3], [1, 4]]"),
    skeleton("triple", "A bone of three keypoints", "[[0, 1, 2]]"),
    skeleton("flat", "A flat list", "[0, 1, 0, 2]"),
    skeleton("text", "A text in place of a list", "nose-tail"),
]
