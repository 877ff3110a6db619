#!/usr/bin/env python3
"""How `costs.py` judges: what it lets pass, what it does not, and what it says then."""
import os
import tempfile
import unittest

import costs

BUDGET = {kind: {"instructions": 10000, "allocations": 7.0} for kind in costs.KINDS}
BUDGET["binary"] = {"bytes": 1000000}
KIND = "Produce of 1 record"


def wrong(kind, name, value, **more):
    """What is said where one figure is another than its budget."""
    found = {**BUDGET, kind: {**BUDGET[kind], name: value}}
    lines, said = costs.judge(found, BUDGET, **more)
    failing = [line["figure"] for line in lines if line["pass"] is False]
    return failing, said


class Judgement(unittest.TestCase):
    def test_what_is_within_the_budget_passes(self):
        self.assertEqual(costs.judge(BUDGET, BUDGET)[1], [])
        for kind, name, value in [(KIND, "instructions", 10200), (KIND, "allocations", 7.2),
                                  ("binary", "bytes", 1020000), (KIND, "instructions", 1)]:
            self.assertEqual(wrong(kind, name, value), ([], []), name)

    def test_each_figure_fails_that_has_grown_by_more_than_two_percent(self):
        for kind, name, value in [(KIND, "instructions", 10201), (KIND, "allocations", 7.3),
                                  ("binary", "bytes", 1020001)]:
            failing, said = wrong(kind, name, value)
            self.assertEqual(failing, [f"{kind}: {name}"])
            self.assertIn("--bless and say why", said[0])

    def test_a_kind_without_a_budget_fails_and_says_what_to_do(self):
        known = {kind: values for kind, values in BUDGET.items() if kind != KIND}
        lines, said = costs.judge(BUDGET, known)
        new = [line for line in lines if line["figure"].startswith(KIND)]
        self.assertEqual([line["pass"] for line in new], [False, False])
        self.assertIn(f"no budget: {KIND}: instructions", said[0])

    def test_a_budget_of_what_is_gone_is_told(self):
        _, said = costs.judge(BUDGET, {**BUDGET, "Gone": {"instructions": 1}})
        self.assertIn("not measured: Gone", said[0])

    def test_figures_of_another_machine_are_not_judged(self):
        self.assertEqual(wrong(KIND, "instructions", 99999, judged=False), ([], []))


class Counting(unittest.TestCase):
    def test_calls_of_allocators_and_all_instructions_are_counted(self):
        profile = """
fn=(1) main
cfn=(2) malloc
calls=3 0
cfn=(3) memcpy
calls=5 0
fn=(4) other
cfn=(2)
calls=4 0
summary: 1234
"""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "profile")
            with open(path, "w") as file:
                file.write(profile)
            self.assertEqual(costs.counted(path), (1234, 7))


if __name__ == "__main__":
    unittest.main()
