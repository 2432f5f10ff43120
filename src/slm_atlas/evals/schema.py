"""What a row of each data set must hold for lm-eval's prompts: fields, types, and labels that point at a choice."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1)]
"""A choice, or what else must not be empty."""


class Row(msgspec.Struct, frozen=True):
    """The base of all rows. Fields that no prompt reads are not named, and do not matter."""


class Choices(msgspec.Struct, frozen=True):
    """Choices and their labels, side by side."""

    text: Annotated[list[Text], Meta(min_length=2)]
    label: Annotated[list[Text], Meta(min_length=2)]

    def __post_init__(self) -> None:
        if len(self.text) != len(self.label):
            raise ValueError(f"{len(self.text)} texts and {len(self.label)} labels")


class Targets(msgspec.Struct, frozen=True):
    """Choices and which of them are true."""

    choices: Annotated[list[Text], Meta(min_length=1)]
    labels: Annotated[list[Literal[0, 1]], Meta(min_length=1)]

    def __post_init__(self) -> None:
        if len(self.choices) != len(self.labels):
            raise ValueError(f"{len(self.choices)} choices and {len(self.labels)} labels")
        if 1 not in self.labels:
            raise ValueError("no choice is true")


class Hellaswag(Row, frozen=True):
    """An activity begun, and its endings."""

    activity_label: str
    ctx_a: str
    ctx_b: str
    endings: Annotated[list[Text], Meta(min_length=2)]
    label: Annotated[str, Meta(pattern="^[0-9]$")]

    def __post_init__(self) -> None:
        _points("label", int(self.label), len(self.endings))


class Truthfulqa(Row, frozen=True):
    """A question, and true and false answers to it."""

    question: Text
    mc1_targets: Targets
    mc2_targets: Targets


class Winogrande(Row, frozen=True):
    """A sentence with a blank `_`, and two ways to fill it."""

    sentence: Annotated[str, Meta(pattern="_")]
    option1: Text
    option2: Text
    answer: Literal["1", "2"]


class LabelledQuestion(Row, frozen=True):
    """A question (ARC), its choices and the label of the right one."""

    question: Text
    choices: Choices
    answerKey: Text

    def __post_init__(self) -> None:
        _among("answerKey", self.answerKey, self.choices.label)


class CommonsenseQa(LabelledQuestion, frozen=True):
    """The same with exactly the five choices that the prompt names."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.choices.label != ["A", "B", "C", "D", "E"]:
            raise ValueError("the labels of the choices are not A, B, C, D, E")


class Openbookqa(Row, frozen=True):
    """The beginning of a sentence or a question, and its choices."""

    question_stem: Text
    choices: Choices
    answerKey: Text

    def __post_init__(self) -> None:
        _among("answerKey", self.answerKey.lstrip(), self.choices.label)


class Piqa(Row, frozen=True):
    """A goal, and two ways to it."""

    goal: str
    sol1: Text
    sol2: Text
    label: Literal[0, 1]


class Boolq(Row, frozen=True):
    """A passage, and a yes/no question it answers."""

    passage: Text
    question: Text
    label: Literal[0, 1]


class Mmlu(Row, frozen=True):
    """A question of a subject, with four choices."""

    question: Text
    choices: Annotated[list[Text], Meta(min_length=4, max_length=4)]
    answer: Annotated[int, Meta(ge=0, le=3)]
    subject: Text


class Gsm8k(Row, frozen=True):
    """A word problem, and its solution, which ends `#### <number>`."""

    question: Text
    answer: Annotated[str, Meta(pattern="#### ")]


class Math(Row, frozen=True):
    """A problem, and its solution with a boxed answer."""

    problem: Text
    solution: Annotated[str, Meta(pattern=r"\\(boxed|fbox)")]


class MathOfType(Math, frozen=True):
    """The same, of a subject."""

    type: Text


class Math500(Math, frozen=True):
    """The same, with the answer apart."""

    answer: Text


class HumanEval(Row, frozen=True):
    """The beginning of a function, and its tests."""

    task_id: Text
    prompt: Text
    test: Text
    entry_point: Text


class Mbpp(Row, frozen=True):
    """A task in words, and three tests."""

    task_id: int
    text: Text
    code: Text
    test_list: Annotated[list[Text], Meta(min_length=3)]


class Lambada(Row, frozen=True):
    """A text, whose last word is to be found."""

    text: Annotated[str, Meta(pattern=r"\S [^ ]+$")]


class Wikitext(Row, frozen=True):
    """An article."""

    page: Text


ROWS: dict[str, type[Row]] = {
    "hellaswag": Hellaswag,
    "truthfulqa": Truthfulqa,
    "winogrande": Winogrande,
    "commonsense_qa": CommonsenseQa,
    "piqa": Piqa,
    "openbookqa": Openbookqa,
    "boolq": Boolq,
    "arc_easy": LabelledQuestion,
    "arc_challenge": LabelledQuestion,
    "mmlu": Mmlu,
    "gsm8k": Gsm8k,
    "minerva_math": MathOfType,
    "minerva_math500": Math500,
    "humaneval": HumanEval,
    "mbpp": Mbpp,
    "lambada_openai": Lambada,
    "wikitext": Wikitext,
}
"""The rows of each folder."""

PART_FIELD = {"mmlu": "subject", "minerva_math": "type"}
"""Where one file holds the rows of all parts of a task: the field that says which part a row belongs to."""


def part_name(value: str) -> str:
    """The name of a part, as lm-eval calls its data set.

    >>> part_name("Counting & Probability"), part_name("high_school_biology")
    ('counting_and_probability', 'high_school_biology')
    """
    return value.lower().replace(" & ", "_and_").replace(" ", "_")


def _points(field: str, index: int, n_choices: int) -> None:
    if index >= n_choices:
        raise ValueError(f"`{field}` is {index}, and there are {n_choices} choices")


def _among(field: str, value: str, labels: list[str]) -> None:
    if value not in labels:
        raise ValueError(f"`{field}` is {value!r}, and the labels are {', '.join(labels)}")
