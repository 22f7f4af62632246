"""Reads a report as others would: read.py FORMAT FILE SCORE MAX_SCORE CHECKS [SCHEMA].

Ends with an error if the file is not what its format says, or says another score or number of
checks than the lab does.
"""

import json
import sys

import jsonschema
import junitparser


def read_json(path, schema):
    with open(path, encoding="utf-8") as file:
        # No NaN, no Infinity: other languages refuse them.
        report = json.load(file, parse_constant=lambda name: sys.exit(f"{name} is no JSON"))
    with open(schema, encoding="utf-8") as file:
        schema = json.load(file)
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    kind(schema, format_checker=kind.FORMAT_CHECKER).validate(report)
    return report


def main(form, path, score, max_score, checks, schema=None):
    if form == "junit":
        (suite,) = junitparser.JUnitXml.fromfile(path)
        properties = {it.name: it.value for it in suite.properties()}
        cases = list(suite)
        points = [
            {it.name: it.value for it in case.child(junitparser.Properties)} for case in cases
        ]
        failures = sum(isinstance(it, junitparser.Failure) for case in cases for it in case.result)
        errors = sum(isinstance(it, junitparser.Error) for case in cases for it in case.result)
        assert (suite.tests, suite.failures, suite.errors) == (len(cases), failures, errors)
        found = (
            int(properties["score"]),
            sum(int(it["max_score"]) for it in points),
            len(cases),
        )
        assert sum(int(it["score"]) for it in points) == found[0]
    else:
        report = read_json(path, schema)
        if form == "json":
            lines = report["checks"]
            found = (report["score"], sum(it["max_score"] for it in lines), len(lines))
            assert sum(it["score"] for it in lines) == report["score"]
        elif form == "gradescope":
            lines = report["tests"]
            found = (report["score"], sum(it["max_score"] for it in lines), len(lines))
            assert sum(it["score"] for it in lines) == report["score"]
        elif form == "classroom50":
            lines = report["tests"]
            found = (report["score"], report["max-score"], len(lines))
            assert sum(it["score"] for it in lines) == report["score"]
            assert sum(it["max-score"] for it in lines) == report["max-score"]
        else:
            results = report["results"]
            summary, lines = results["summary"], results["tests"]
            found = (summary["extra"]["score"], summary["extra"]["maxScore"], len(lines))
            for status in ("passed", "failed", "skipped", "pending", "other"):
                assert summary[status] == sum(it["status"] == status for it in lines), status
            assert summary["tests"] == len(lines)
    wanted = (int(score), int(max_score), int(checks))
    assert found == wanted, f"score, max_score, checks are {found}, and should be {wanted}"


main(*sys.argv[1:])
