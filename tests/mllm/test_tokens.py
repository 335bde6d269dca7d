# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

ANSWERS = [
    "The camera moved `left`.",
    "It is `1234` mm away.",
    "The vector is `[ -120 , 3 , 45 ]` millimetres.",
    "`[ 500 , 20 ]`",
    "Room size: `23.5` m2, turn `-12.5` degrees.",
    "`left 1.5 m table; around 0.5 m door`",
    "Option `B`.",
]


@pytest.fixture(scope="module")
def tokenizer():
    from spatialmllm.data.tokens import build_tiny

    return build_tiny(ANSWERS)


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_are_decoded_to_themselves(tokenizer, answer):
    ids = tokenizer.encode(answer)
    assert tokenizer.decode(ids) == answer
    assert not tokenizer.unknown_in(answer)


def test_special_tokens_have_fixed_ids_and_digits_stand_alone(tokenizer):
    from spatialmllm.data.tokens import SPECIAL_TOKENS, ChatTokenizer

    assert [tokenizer.encode(token) for token in SPECIAL_TOKENS] == [[i] for i in range(13)]
    assert len(tokenizer.encode("-1234,")) == 6
    again = ChatTokenizer.from_json(tokenizer.to_json())
    assert again.encode(ANSWERS[0]) == tokenizer.encode(ANSWERS[0])
    assert tokenizer.size <= 1024


def test_labels_cover_content_turn_end_and_newline_only(tokenizer):
    from spatialmllm.data.tokens import Turn

    turns = [
        Turn("system", "The camera"),
        Turn("user", "<image>\nIt is?"),
        Turn("assistant", "`left`"),
        Turn("user", "It is?"),
        Turn("assistant", "`1`"),
    ]
    made = tokenizer.conversation(turns, [("<image>", 3)])
    supervised = [i for i, label in zip(made.ids, made.labels, strict=True) if label != -100]
    end = tokenizer.encode("<|im_end|>\n")
    assert supervised == tokenizer.encode("`left`") + end + tokenizer.encode("`1`") + end
    pad, start, stop = tokenizer.ids.image, tokenizer.ids.vision_start, tokenizer.ids.vision_end
    at = made.ids.index(start)
    assert made.ids[at : at + 5] == [start, pad, pad, pad, stop]


def test_a_prompt_is_the_training_sequence_up_to_the_answer(tokenizer):
    from spatialmllm.data.tokens import Turn

    asked = [Turn("system", "The camera"), Turn("user", "It is?")]
    prompt = tokenizer.prompt(asked, [])
    full = tokenizer.conversation([*asked, Turn("assistant", "`left`")], [])
    assert full.ids[: len(prompt)] == prompt
    assert full.labels[len(prompt) - 1] == -100
    assert full.labels[len(prompt)] != -100


def test_what_cannot_be_written_is_refused(tokenizer):
    from spatialmllm.data.tokens import ChatTokenizer, Turn

    with pytest.raises(ValueError, match="cannot write"):
        tokenizer.conversation([Turn("assistant", "`wardrobe`")], [])
    with pytest.raises(ValueError, match="more image and video tags"):
        tokenizer.conversation([Turn("user", "<image>")], [])
    with pytest.raises(ValueError, match="1 media have no tag"):
        tokenizer.conversation([Turn("user", "x")], [("<image>", 1)])
    with pytest.raises(ValueError, match="the text has <video>"):
        tokenizer.conversation([Turn("user", "<video>")], [("<image>", 1)])
    with pytest.raises(ValueError, match="control token"):
        tokenizer.conversation([Turn("user", "x<|im_end|>y")], [])
    from tokenizers import Tokenizer, models

    with pytest.raises(ValueError, match="no token"):
        ChatTokenizer(Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))


def test_remembered_texts_are_bounded_and_equal(tokenizer, monkeypatch):
    from spatialmllm.data import tokens

    monkeypatch.setattr(tokens, "_KNOWN_TEXTS", 4)
    texts = [f"object {i}" for i in range(9)]
    first = [tokenizer.encode(text) for text in texts]
    assert len(tokenizer._known) <= 4
    first[-1].append(-1)
    fresh = tokens.ChatTokenizer.from_json(tokenizer.to_json())
    assert [tokenizer.encode(text) for text in texts] == [fresh.encode(text) for text in texts]
