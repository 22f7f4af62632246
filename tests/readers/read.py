"""Reads a report with independent libraries: read.py FORMAT FILE SCORE MAX_SCORE CHECKS [SCHEMA].

Fails if the file isn't valid in its format, or if its score, its maximum score or its number of
checks isn't the given one.
"""

import json
import sys

import jsonschema
import junitparser


def read_json(path, schema):
    with open(path, encoding="utf-8") as file:
        # Python would accept NaN and Infinity; other languages don't.
        report = json.load(file, parse_constant=lambda name: sys.exit(f"{name} isn't JSON"))
    with open(schema, encoding="utf-8") as file:
        schema = json.load(file)
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    validator(schema, format_checker=validator.FORMAT_CHECKER).validate(report)
    return report


def read_junit(path):
    (suite,) = junitparser.JUnitXml.fromfile(path)
    properties = {it.name: it.value for it in suite.properties()}
    cases = list(suite)
    points = [{it.name: it.value for it in case.child(junitparser.Properties)} for case in cases]
    failures = sum(isinstance(it, junitparser.Failure) for case in cases for it in case.result)
    errors = sum(isinstance(it, junitparser.Error) for case in cases for it in case.result)
    assert (suite.tests, suite.failures, suite.errors) == (len(cases), failures, errors)
    score = int(properties["score"])
    assert sum(int(it["score"]) for it in points) == score
    return score, sum(int(it["max_score"]) for it in points), len(cases)


def read_ctrf(report):
    summary, tests = report["results"]["summary"], report["results"]["tests"]
    for status in ("passed", "failed", "skipped", "pending", "other"):
        assert summary[status] == sum(it["status"] == status for it in tests), status
    assert summary["tests"] == len(tests)
    return summary["extra"]["score"], summary["extra"]["maxScore"], len(tests)


def main(form, path, score, max_score, checks, schema=None):
    if form == "junit":
        found = read_junit(path)
    elif form == "ctrf":
        found = read_ctrf(read_json(path, schema))
    else:
        report = read_json(path, schema)
        tests = report["checks" if form == "json" else "tests"]
        maximum = "max-score" if form == "classroom50" else "max_score"
        assert sum(it["score"] for it in tests) == report["score"]
        sums = sum(it[maximum] for it in tests)
        assert report.get(maximum, sums) == sums
        found = (report["score"], sums, len(tests))
    expected = (int(score), int(max_score), int(checks))
    assert found == expected, f"score, max_score and checks are {found}, not {expected}"


main(*sys.argv[1:])
