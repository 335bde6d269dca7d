# SPDX-License-Identifier: Apache-2.0
"""Answers in free text: read as meant, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_engine.records import answers
from spatial_engine.records.reading import parse_answer, said

OPTIONS = ("a chair", "a lamp", "the left one", "a book")
SIDES = ("left", "right", "front-left")
# How the models of public reports give an answer; a is the answer, o another candidate.
FORMS = {
    "bare": "{a}",
    "sentence": "The answer is {a}.",
    "bold": "**{a}**",
    "quoted": "'{a}'",
    "block": "<answer>{a}</answer>",
    "open block": "I see.\n<answer>{a}",
    "thought": "<think>Maybe {o}? Image 1 and image 2 differ.</think>\n\n{a}",
    "thought without its start": "So {o}, or not.</think>{a}",
    "thought and block": "<think>{o} first, then 2 views.</think><answer>{a}</answer>",
    "boxed": "Hence \\boxed{{{a}}}",
    "boxed text": "Hence \\boxed{{\\text{{{a}}}}}",
    "with a reason": "{a}\n\nReason: image 1 and image 2 show it.",
    "span": "It is `{a}`, not {o}.",
    "marked": "Image 1 shows {o} things. Final answer: {a}",
}


def number(text, unit="mm", dialect="lenient", type="integer"):
    read = parse_answer(text, type, unit, dialect=dialect).answer
    return None if read is None else read.number if len(read.number) > 1 else read.number[0]


def text_of(text, type, choices=(), options=()):
    read = parse_answer(text, type, type, choices=choices, options=options, dialect="lenient")
    return None if read.answer is None else read.answer.text


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_every_type(form):
    assert text_of(form.format(a="B", o="C"), "letter", options=OPTIONS) == "B"
    assert text_of(form.format(a="front-left", o="right"), "word", SIDES) == "front-left"
    assert number(form.format(a="1500 mm", o="7")) == 1500
    assert number(form.format(a="-3", o="4"), "degree") == -3
    vector = form.format(a="[ 12 , -3 , 0 ]", o="9")
    assert number(vector, type="vector") == (12, -3, 0)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("\u22123", "mm", -3), ("\u20133 mm", "mm", -3), (".5 m", "mm", 500),
        ("1 500", "mm", 1500), ("1\u202f500 mm", "mm", 1500), ("1'500 mm", "mm", 1500),
        ("\uff11\uff15\uff10\uff10", "mm", 1500), ("1e3", "mm", 1000), ("~1500 mm", "mm", 1500),
        ("5'3\"", "mm", 1600.2), ("5 ft 3 in", "mm", 1600.2), ("5 feet", "mm", 1524),
        ("about 1.5 m (1500 mm)", "mm", 1500), ("three", "count", 3),
        ("The distance in image 2 is 1500 mm", "mm", 1500),
        ("The answer is 1.5 m. It is 3 times 2.", "mm", 1500),
        ("1.2 metres from the camera of frame 12", "mm", 1200),
        ("12 m\xb2", "m2", 12), ("100 sq ft", "m2", 9.290304), ("30\xb0", "degree", 30),
        ("0.3 m/s", "cm/s", 30), ("30 cm per second", "cm/s", 30), ("1.8 km/h", "cm/s", 50),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(text, unit, value):
    assert number(text, unit, type="number") == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("2-3 m", "mm"), ("2\u20133 m", "mm"), ("between 2 and 3 m", "mm"), ("5 or 6", "count"),
        ("answer: between 2 and 3", "count"), ("less than 2 m", "mm"), ("at least 4", "count"),
        ("30 degrees", "mm"), ("12 m2", "mm"), ("20 m", "m2"), ("5 m", "count"), ("1,5 m", "mm"),
        ("two thirds", "count"), ("2 and a half metres", "mm"), ("50 %", "count"),
        ("2.5.6", "mm"), ("not 5 but 6", "count"), ("<think>1500", "mm"), ("image 2", "count"),
        ("120 cm to the left and 5 cm up", "mm"), ("", "mm"),
    ],
)  # fmt: skip
def test_what_is_not_said_is_not_read(text, unit):
    assert number(text, unit) is None
    assert number(text, unit, "multispa") is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B) lamp because A is not", "B"), ("a lamp", "B"), ("A chair is there, so C.", "C"),
        ("Option B", "B"), ("A or B", None), ("I think A is wrong; B", None), ("E", None),
        ("answer: c", "C"), ("a table", None),
    ],
)  # fmt: skip
def test_letters(text, letter):
    assert text_of(text, "letter", options=OPTIONS) == letter


def test_words():
    assert text_of("The answer is right, not left", "word", SIDES) == "right"
    assert text_of("left or right", "word", SIDES) is None
    assert text_of("rightly so", "word", SIDES) is None


def test_shares_of_an_image_and_units_of_each_number():
    assert number("[0.51, 0.32]", "norm1000", type="coordinate") == (510, 320)
    assert number("<point>512 300</point>", "norm1000", type="coordinate") == (512, 300)
    assert number("1 m, 20 cm, 3 mm", type="vector") == (1000, 200, 3)
    assert number("The vector is [1.2, 0.3, \u22124] m", type="vector") == (1200, 300, -4000)
    assert number("1 or 2 or 3 or 4", type="vector") is None


@given(st.floats(-1e6, 1e6), st.sampled_from(["mm", "cm", "m", "in", "ft", "yd", "km"]))
def test_a_length_in_any_unit(value, unit):
    metres = {"mm": 0.001, "cm": 0.01, "m": 1, "in": 0.0254, "ft": 0.3048, "yd": 0.9144, "km": 1e3}
    read = number(f"It is {value:.4f} {unit}.", type="number")
    assert read == pytest.approx(round(value, 4) * metres[unit] * 1000, rel=1e-9, abs=1e-9)


@given(st.text(max_size=60), st.sampled_from(["letter", "word", "integer", "vector"]))
def test_no_text_breaks_the_reader(text, type):
    unit = {"letter": "letter", "word": "word"}.get(type, "mm")
    for dialect in ("multispa", "lenient"):
        parse_answer(text, type, unit, choices=("A", "B"), dialect=dialect)


@given(st.text(alphabet="<think>/answer`0 5", max_size=40))
def test_blocks_of_any_nesting(text):
    assert isinstance(said(text), str)


def test_a_response_of_any_length_is_read_in_linear_time():
    for piece in ("1 ", "<think>", "(", "`", "the answer is ", "1,", "- ", "\\boxed{", "A or "):
        parse_answer(piece * 5_000, "integer", "mm", dialect="lenient")
        parse_answer(piece * 5_000, "letter", "letter", dialect="lenient")


def test_what_records_say_is_read_back():
    for answer in (answers.number(-0.5, "m"), answers.integer(-12345, "mm")):
        for dialect in ("multispa", "lenient"):
            text = f"So `{answer.span}`."
            assert parse_answer(text, answer.type, answer.unit, dialect=dialect).answer == answer
