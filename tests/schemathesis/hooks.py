"""Which of schemathesis's requests are not sent."""

import schemathesis


@schemathesis.hook
def filter_case(context, case):
    # A server must take requests with headers that it does not know; unknown keys of the query and
    # unknown fields of bodies are refused, and are sent.
    names = {name.lower() for name in (case.headers or {})}
    return "x-schemathesis-unknown-property" not in names
