"""Reads and writes JSON with the classes that quicktype generates."""
import procman

complete = procman.echo_complete_from_dict(
    {
        "processId": "a",
        "state": "complete",
        "expirationDateTime": "2026-01-02T03:04:05.000Z",
        "createdDateTime": "2026-01-02T03:03:05.000Z",
        "input": {},
        "output": {"hello": "world"},
        "later": 1,
    }
)
assert complete.output == {"hello": "world"}, complete.output
assert complete.state.value == "complete", complete.state

order = {"input": {"number": 1, "address": {"street": "Main"}, "payment": {"kind": "card", "number": "1"}}}
submission = procman.order_submission_from_dict(order)
assert submission.input.address.street == "Main", submission.input.address
assert procman.order_submission_to_dict(submission) == order, procman.order_submission_to_dict(submission)

try:
    procman.echo_complete_from_dict({"processId": "a", "state": "processing", "expirationDateTime": "", "input": {}})
except (AssertionError, ValueError):
    pass
else:
    raise AssertionError("a process without output is complete")
