"""What is written is what the published schemas say."""

import json

import jsonschema
import msgspec
import pytest

from medbench.report.record import to_json
from medbench.spec.schema import WRITTEN, json_schemas
from tests.nights import entry, session, write_nights
from tests.report.records import DRIFT, report, run
from tests.report.records import result as a_result
from tests.report.test_markdown import HISTORY, SINCE


def validator(name):
    schema = json_schemas()[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", WRITTEN)
def test_every_schema_of_what_is_written_is_one(name):
    validator(name)


def test_a_report_is_as_its_schema_says_and_another_is_not():
    made = report(a_result(check=DRIFT, runs=[run()]), figures=[HISTORY])
    plain = json.loads(to_json(msgspec.structs.replace(made, since=SINCE)))
    check = validator("report.schema.json")
    check.validate(plain)
    plain["claims"][0]["verdict"] = "perhaps"
    assert not check.is_valid(plain)


def test_the_lines_of_a_history_are_as_their_schemas_say(tmp_path):
    write_nights(tmp_path, [0.83])
    (file,) = tmp_path.glob("*/*/*.jsonl")
    first, second = map(json.loads, file.read_text().splitlines())
    validator("history-night.schema.json").validate(first)
    validator("history-entry.schema.json").validate(second)
    assert (first["created"], second["id"]) == (session().created, entry().id)
