"""The clinical questions, by name; how their answers are scored: tasks/kinds.py."""

from lusnb.tasks import readmission_question, sf_change_question, sf_ratio_question
from lusnb.tasks.question import Question

QUESTIONS: dict[str, Question] = {
    own.QUESTION.name: own.QUESTION for own in (sf_change_question, sf_ratio_question, readmission_question)
}
