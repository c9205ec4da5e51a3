#!/usr/bin/env python3
"""Record real LangFlow exchanges as ../fixtures/langflow/*.json.

    record_fixtures.py --url http://127.0.0.1:7870 --api-key sk-... [--user e2e --password-file F]
                       [--only NAME,...] [--only-frontend]

The client is tested against these files, and the fake LangFlow is held to them (fake_fidelity.rs).
Runs make_flows.py first. Each file is {"request": {method, path, headers, body},
"response": {status, headers, body}}; body is JSON, or a string where the server sent no JSON.
Keys, tokens, component code and tracebacks are stripped. Ids of the test flows, their user and
their project keep the values of the first recording.
--only makes every call but writes just the named files ("flow_*" style patterns work); ids that
they share with the other files are taken from those, so that all files fit together.
--only-frontend records just the answers that differ when LangFlow also serves its web pages.
"""
import argparse
import fnmatch
import http.client
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(os.path.dirname(HERE), "fixtures", "langflow")
KEEP = ("content-type", "location", "www-authenticate", "retry-after")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NOWHERE = "00000000-0000-0000-0000-000000000000"


def scrub(value, key=""):
    if isinstance(value, dict):
        if value.get("type") == "code" and value.get("name") == "code":
            value = {**value, "value": ""}
        return {k: scrub(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [scrub(v) for v in value]
    if isinstance(value, str):
        if key in ("traceback", "stackTrace") or value.startswith("Traceback (most recent"):
            return "Traceback (most recent call last):\n  (shortened)\n"
        value = re.sub(r"\b(sk-|eyJ)[\w\-.]{4,}\**", r"\1REDACTED", value)
        return re.sub(r'(\\*"(?:traceback|stackTrace)\\*": \\*")Traceback.*?(?<!\\)(\\*"[,}])', r"\1(shortened)\2", value)
    return value


class Recorder:
    def __init__(self, url, key, only=None):
        self.host = urllib.parse.urlsplit(url).netloc
        self.key = key
        self.only = only
        self.renamed = {}  # id on this server -> id in the files

    def keep_ids(self, flows):
        """Map the ids of this server's flows, user and project to those of the first recording."""
        first = os.path.join(OUT, "flows_list_headers.json")
        if not os.path.exists(first):
            return
        with open(first) as f:
            known = {flow["name"]: flow for flow in json.load(f)["response"]["body"]}
        with open(os.path.join(OUT, "flow_echo.json")) as f:
            user = json.load(f)["response"]["body"]["user_id"]
        for name, id_ in flows.items():
            here = self("", "GET", "/api/v1/flows/" + id_, record=False)
            pairs = [(id_, known[name]["id"]), (here["folder_id"], known[name]["folder_id"]), (here["user_id"], user)]
            self.renamed.update(pairs)

    def learn(self, name, answer):
        """Map the ids in an answer that is not written to those in its file."""
        if self.only is None or not name or not os.path.exists(file := os.path.join(OUT, name + ".json")):
            return
        with open(file) as f:
            pairs = [(answer, json.load(f)["response"]["body"])]
        while pairs:
            here, there = pairs.pop()
            if isinstance(here, dict) and isinstance(there, dict):
                pairs += [(here[key], there[key]) for key in here.keys() & there.keys()]
            elif isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
                pairs += zip(here, there)
            elif isinstance(here, str) and isinstance(there, str) and UUID.fullmatch(here) and UUID.fullmatch(there):
                self.renamed.setdefault(here, there)

    def wanted(self, name):
        return self.only is None or any(fnmatch.fnmatch(name, pattern) for pattern in self.only)

    def __call__(self, name, method, path, body=None, key=True, headers=(), record=True):
        send = {"accept": "application/json", **dict(headers)}
        if key:
            send["x-api-key"] = self.key if key is True else key
        if body is not None:
            send.setdefault("content-type", "application/json")
        data = body if isinstance(body, (str, bytes, type(None))) else json.dumps(body)
        conn = http.client.HTTPConnection(self.host, timeout=60)
        conn.request(method, path, data, send)
        resp = conn.getresponse()
        text = resp.read().decode()
        conn.close()
        try:
            answer = json.loads(text) if text else None
        except ValueError:
            answer = text
        if record and self.wanted(name):
            shown = {k: "REDACTED" if k in ("x-api-key", "authorization") else v for k, v in send.items()}
            if isinstance(body, str) and "password" in body:
                body = re.sub(r"password=[^&]*", "password=REDACTED", body)
            out = {
                "request": {"method": method, "path": path, "headers": shown, "body": body},
                "response": {
                    "status": resp.status,
                    "headers": {k.lower(): v for k, v in resp.getheaders() if k.lower() in KEEP},
                    "body": stream_scrub(answer) if isinstance(answer, str) else scrub(answer),
                },
            }
            text = json.dumps(out, indent=1, ensure_ascii=False)
            for here, there in self.renamed.items():
                text = text.replace(here, there)
            with open(os.path.join(OUT, name + ".json"), "w") as f:
                f.write(text + "\n")
            print(f"{name}: {resp.status}", file=sys.stderr)
        else:
            self.learn(name, answer)
        return answer


def stream_scrub(text):
    """Scrub each event of a recorded stream, keeping its framing."""
    if text.lstrip().lower().startswith("<!doctype"):
        return '<!doctype html>\n<html lang="en"></html>\n'
    lines = []
    for line in text.splitlines(keepends=True):
        mark, rest = ("data: ", line[6:]) if line.startswith("data: ") else ("", line)
        try:
            event = json.loads(rest)
        except ValueError:
            lines.append(line)
        else:
            lines.append(mark + json.dumps(scrub(event)) + "\n")
    return "".join(lines)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--url", required=True)
    ap.add_argument("--api-key", required=True)
    ap.add_argument("--user", default="e2e")
    ap.add_argument("--password-file")
    ap.add_argument("--only", type=lambda names: names.split(","))
    ap.add_argument("--only-frontend", action="store_true")
    args = ap.parse_args()
    os.makedirs(OUT, exist_ok=True)
    rec = Recorder(args.url, args.api_key, args.only)

    if args.only_frontend:
        rec("frontend_v2_unknown_flow", "POST", "/api/v2/workflows", {"flow_id": NOWHERE})
        rec("frontend_v2_job_unknown", "GET", f"/api/v2/workflows?job_id={NOWHERE}")
        rec("frontend_unknown_page", "GET", "/healthy")
        return

    made = subprocess.run(
        [sys.executable, os.path.join(HERE, "make_flows.py"), "--url", args.url, "--api-key", args.api_key],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    flow = {name.removeprefix("e2e-"): id_ for name, id_ in json.loads(made.stdout).items()}
    rec.keep_ids(json.loads(made.stdout))
    run = "/api/v1/run/"
    echo = run + flow["echo"]

    rec("health", "GET", "/health", key=False)
    rec("health_check", "GET", "/health_check", key=False)
    rec("version", "GET", "/api/v1/version", key=False)
    projects = rec("projects_list", "GET", "/api/v1/projects/")
    rec("folders_list_redirect", "GET", "/api/v1/folders/")
    rec("flows_list_headers", "GET", "/api/v1/flows/?get_all=true&header_flows=true&remove_example_flows=true")
    page = f"/api/v1/flows/?get_all=false&header_flows=true&folder_id={projects[0]['id']}&page=1&size=3"
    rec("flows_list_page", "GET", page)
    for name in flow:
        rec("flow_" + name.replace("-", "_"), "GET", "/api/v1/flows/" + flow[name])
    rec("flow_unknown", "GET", "/api/v1/flows/" + NOWHERE)
    rec("flow_bad_id", "GET", "/api/v1/flows/not-a-uuid")
    rec("flows_page_too_large", "GET", "/api/v1/flows/?get_all=false&size=1000")
    rec("path_unknown", "GET", "/api/v1/nope")
    rec("whoami", "GET", "/api/v1/users/whoami")
    empty = {"nodes": [], "edges": [], "viewport": {"x": 0, "y": 0, "zoom": 1}}
    made = rec("flow_created", "POST", "/api/v1/flows/", {"name": "fixture", "description": "Made to be deleted.", "data": empty})
    rec("flow_updated", "PATCH", "/api/v1/flows/" + made["id"], {"description": "Changed."})
    rec("flow_deleted", "DELETE", "/api/v1/flows/" + made["id"])
    rec("flow_create_nameless", "POST", "/api/v1/flows/", {"nam": "x"})

    body = {"input_value": "hello", "input_type": "chat", "output_type": "chat", "session_id": "fixture-run"}
    rec("run_success", "POST", echo, body)
    rec("run_success_two_outputs", "POST", run + flow["two-outputs"], {**body, "output_type": "any"})
    tweaks = {"TextInput-00001": {"input_value": "tweaked"}}
    rec("run_success_text_tweak", "POST", run + flow["text"], {"output_type": "any", "session_id": "t", "tweaks": tweaks})
    rec("run_success_no_outputs", "POST", echo, {**body, "output_component": "NoSuch-1"})
    rec("run_component_failure", "POST", run + flow["fail"], {**body, "session_id": "fixture-fail"})
    rec("run_llm_no_key", "POST", run + flow["llm-no-key"], body)
    rec("run_unknown_flow", "POST", run + NOWHERE, body)
    rec("run_tweak_refused", "POST", echo, {**body, "tweaks": {"ChatInput-00001": {"code": "x"}}})
    rec("run_tweak_conflict", "POST", echo, {**body, "tweaks": {"ChatInput-00001": {"input_value": "x"}}})
    rec("run_bad_json", "POST", echo, '{"input_value": ')
    rec("run_no_body", "POST", echo)
    rec("run_not_an_object", "POST", echo, [1])
    rec("run_wrong_types", "POST", echo, {"input_value": 5, "session_id": "dropped"})
    rec("run_auth_missing", "POST", echo, body, key=False)
    rec("run_auth_wrong_key", "POST", echo, body, key="sk-wrong")
    rec("list_auth_missing", "GET", "/api/v1/flows/?header_flows=true", key=False)
    rec("list_auth_wrong_key", "GET", "/api/v1/flows/?header_flows=true", key="sk-wrong")
    rec("list_auth_bad_token", "GET", "/api/v1/flows/?header_flows=true", key=False, headers={"authorization": "Bearer x"})
    rec("run_stream_success", "POST", run + flow["stream"] + "?stream=true", {**body, "input_value": "one two three"})
    rec("run_stream_failure", "POST", run + flow["fail"] + "?stream=true", body)
    rec("webhook_accepted", "POST", "/api/v1/webhook/" + flow["webhook"], {"hello": 1})

    rec("webhook_empty", "POST", "/api/v1/webhook/" + flow["webhook"])

    v2 = "/api/v2/workflows"
    rec("v2_sync_success", "POST", v2, {"flow_id": flow["echo"], "input_value": "hello", "session_id": "fixture-v2"})
    rec("v2_sync_two_outputs", "POST", v2, {"flow_id": flow["two-outputs"], "input_value": "hello"})
    rec("v2_sync_failure", "POST", v2, {"flow_id": flow["fail"], "input_value": "hello", "session_id": "fixture-v2"})
    rec("v2_unknown_flow", "POST", v2, {"flow_id": NOWHERE})
    rec("v2_bad_field", "POST", v2, {"flow_id": flow["echo"], "no_such_field": 1})
    rec("v2_missing_flow", "POST", v2, {})
    rec("v2_bad_flow_id", "POST", v2, {"flow_id": "e2e-echo"})
    rec("v2_bad_types", "POST", v2, {"flow_id": flow["echo"], "input_value": 5, "mode": "bogus", "tweaks": 5})
    rec("v2_bad_json", "POST", v2, '{"flow_id": ')
    rec("v2_unknown_output_ids", "POST", v2, {"flow_id": flow["echo"], "output_ids": ["x"]})
    rec("v2_tweak_refused", "POST", v2, {"flow_id": flow["echo"], "tweaks": {"ChatInput-00001": {"code": "x"}}})
    rec("v2_job_missing", "GET", v2)
    rec("v2_job_bad_id", "GET", f"{v2}?job_id=x")
    rec("v2_events_unknown", "GET", f"{v2}/{NOWHERE}/events", headers={"accept": "text/event-stream"})
    rec("v2_stop_unknown", "POST", v2 + "/stop", {"job_id": NOWHERE})
    rec("v2_stop_missing", "POST", v2 + "/stop", {})
    rec("v2_job_unknown", "GET", f"{v2}?job_id={NOWHERE}")

    def submit(name, which, **more):
        body = {"flow_id": flow[which], "input_value": "hello", "mode": "background", **more}
        return rec(name, "POST", v2, body)["job_id"]

    def wait(job):
        for _ in range(100):
            seen = rec("", "GET", f"{v2}?job_id={job}", record=False)
            if seen.get("status") not in ("queued", "in_progress"):
                return
            time.sleep(0.2)

    slow = {"SlowEcho-00001": {"seconds": 3}}
    job = submit("v2_background_submit", "slow", session_id="fixture-bg", idempotency_key=f"fx-{time.time()}", tweaks=slow)
    time.sleep(1)
    rec("v2_status_in_progress", "GET", f"{v2}?job_id={job}")
    wait(job)
    rec("v2_status_completed", "GET", f"{v2}?job_id={job}")
    rec("v2_events", "GET", f"{v2}/{job}/events", headers={"accept": "text/event-stream"})
    rec("v2_stop_finished", "POST", v2 + "/stop", {"job_id": job})
    job = submit("v2_background_submit_fail", "fail", session_id="fixture-bg-fail")
    wait(job)
    rec("v2_status_failed", "GET", f"{v2}?job_id={job}")
    rec("v2_events_failure", "GET", f"{v2}/{job}/events", headers={"accept": "text/event-stream"})
    job = submit("v2_background_submit_stop", "slow", session_id="fixture-stop", tweaks=slow)
    time.sleep(1)
    rec("v2_stop", "POST", v2 + "/stop", {"job_id": job})
    time.sleep(1)  # just after a stop the status may read JOB_FAILED for some 50 ms
    rec("v2_status_cancelled", "GET", f"{v2}?job_id={job}")
    rec("v2_stop_again", "POST", v2 + "/stop", {"job_id": job})
    rec("v2_events_cancelled", "GET", f"{v2}/{job}/events", headers={"accept": "text/event-stream"})

    monitor = "/api/v1/monitor"
    rec("messages_by_session", "GET", monitor + "/messages?session_id=fixture-run")
    rec("messages_of_failure", "GET", monitor + "/messages?session_id=fixture-fail")
    rec("traces_by_session", "GET", monitor + "/traces?session_id=fixture-run")
    traces = rec("traces_of_failure", "GET", monitor + "/traces?session_id=fixture-fail")
    rec("trace_of_failure", "GET", f"{monitor}/traces/{traces['traces'][0]['id']}")
    rec("v2_stop_not_cancellable", "POST", v2 + "/stop", {"job_id": traces["traces"][0]["id"]})
    rec("transactions", "GET", f"{monitor}/transactions?flow_id={flow['fail']}&page=1&size=2")

    traces = rec("traces_of_text", "GET", monitor + "/traces?session_id=t")
    rec("trace_of_text", "GET", f"{monitor}/traces/{traces['traces'][0]['id']}")
    rec("trace_unknown", "GET", f"{monitor}/traces/{NOWHERE}")
    rec("traces_none", "GET", monitor + "/traces?session_id=nothing-ran-here")
    rec("v2_status_of_v1_run", "GET", f"{v2}?job_id={traces['traces'][0]['id']}")
    rec("transactions_of_success", "GET", f"{monitor}/transactions?flow_id={flow['echo']}&page=1&size=2")

    made = rec("api_key_create", "POST", "/api/v1/api_key/", {"name": "fixture"})
    rec("api_key_list", "GET", "/api/v1/api_key/")
    rec("api_key_delete", "DELETE", "/api/v1/api_key/" + made["id"])
    rec("auto_login_off", "GET", "/api/v1/auto_login", key=False)
    form = {"content-type": "application/x-www-form-urlencoded"}
    if args.password_file:
        login = {"username": args.user, "password": open(args.password_file).read().strip()}
        rec("login", "POST", "/api/v1/login", urllib.parse.urlencode(login), key=False, headers=form)
    wrong = urllib.parse.urlencode({"username": args.user, "password": "wrong"})
    rec("login_wrong", "POST", "/api/v1/login", wrong, key=False, headers=form)
    for _ in range(5):  # the limit is 5 tries a minute
        rec("login_rate_limited", "POST", "/api/v1/login", wrong, key=False, headers=form)


if __name__ == "__main__":
    main()
