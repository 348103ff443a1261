"""Tries the calls of the SDK of Ankaios for Python, unchanged, against a cluster:
all but delete_all_configs, which would delete what is not its own.

It is a workload, of ../sdk.yaml, and says what each call did. It exits with 1 when
one did not do what it does with Ankaios. Workloads and configs whose names begin
with sdk- are its own; it runs a plain process.

    python3 -m venv /tmp/sdk && /tmp/sdk/bin/pip install ankaios-sdk==1.0.1
    cp examples/sdk/check.py /tmp/sdk/
    argosy dev                               # in another terminal
    argosy apply -f examples/sdk.yaml
    argosy logs sdk-check
"""

import datetime
import os
import queue
import sys
import time

from ankaios_sdk import (
    Ankaios, AnkaiosLogLevel, AnkaiosProtocolException, AnkaiosResponseError, ControlInterface,
    File, LogsStopResponse, Manifest, Workload, WorkloadInstanceName, WorkloadStateEnum,
)

# A plain process is told where its control interface is; in a container it is where
# the SDK looks.
if "ARGOSY_CONTROL_INTERFACE" in os.environ:
    ControlInterface.ANKAIOS_CONTROL_INTERFACE_BASE_PATH = os.environ["ARGOSY_CONTROL_INTERFACE"]

AGENT = sys.argv[1]
RUNNING, SUCCEEDED = WorkloadStateEnum.RUNNING, WorkloadStateEnum.SUCCEEDED
COUNT = 'command: /bin/sh\nargs: ["-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done"]\nstopTimeout: 1s\n'
PRINT = 'command: /bin/sh\nargs: ["-c", "cat $ARGOSY_FILES/etc/text; echo {{site.name}}; seq 5"]\n'
PRINTED = ["from a file", "here", "1", "2", "3", "4", "5"]

ank = Ankaios(log_level=AnkaiosLogLevel.WARN)
failed = 0


def check(function):
    """Runs a step."""
    global failed
    began = time.monotonic()
    try:
        function()
        outcome = "ok"
    except Exception as e:  # the next step may work
        failed += 1
        outcome = f"FAILED: {type(e).__name__}: {e}"
    print(f"{function.__name__}: {outcome} ({time.monotonic() - began:.3f} s)", flush=True)


def want(got, wanted):
    """Compares."""
    if got != wanted:
        raise AssertionError(f"got {got!r}, want {wanted!r}")


def refused(call, *args, error=AnkaiosResponseError, **kwargs):
    """Wants an error."""
    try:
        call(*args, **kwargs)
    except error:
        return
    raise AssertionError(f"{call.__name__} was not refused")


def manifest(config=COUNT):
    """Has one workload and one config."""
    return Manifest.from_dict({
        "apiVersion": "v1",
        "workloads": {"sdk-a": {"agent": AGENT, "runtime": "process", "tags": {"k": "v"}, "runtimeConfig": config}},
        "configs": {"sdk-site": {"name": "here", "list": ["x", {"y": "z"}]}},
    })


def read_logs(names, seconds=3.0, **kwargs):
    """Returns the lines that come until all have ended, or so many seconds are over, and how many have ended."""
    campaign = ank.request_logs(names, **kwargs)
    lines, ended, until = [], 0, time.monotonic() + seconds
    while ended < len(campaign.accepted_workload_names) and time.monotonic() < until:
        try:
            entry = campaign.queue.get(timeout=0.1)
        except queue.Empty:
            continue
        if isinstance(entry, LogsStopResponse):
            ended += 1
        else:
            lines.append(entry.message)
    if kwargs.get("follow"):
        ank.stop_receiving_logs(campaign)
    return lines, ended


instances = {}


@check
def state():
    want(ank.get_state(["desiredState.workloads.sdk-check.tags"]).get_workload("sdk-check").get_tags(), {"note": "here"})
    want(ank.get_state().get_workload("sdk-check").get_tags(), {"note": "here"})
    want(ank.get_state(["desiredState.workloads.sdk-none"]).get_workloads(), [])


@check
def manifests():
    instances["a"] = ank.apply_manifest(manifest()).added_workloads[0]
    ank.wait_for_workload_to_reach_state(instances["a"], RUNNING)
    want(ank.get_execution_state_for_instance_name(instances["a"]).state, RUNNING)
    want(ank.apply_manifest(manifest()).to_dict(), {"added_workloads": [], "deleted_workloads": []})


@check
def workloads():
    a = ank.get_workload("sdk-a")[0]
    a.update_tags({"k2": "v2"})
    ank.apply_workload(a)
    a = ank.get_workload("sdk-a")[0]
    want(a.get_tags(), {"k2": "v2"})
    a.update_runtime_config(COUNT.replace("0.1", "0.05"))
    update = ank.apply_workload(a)
    want([str(i) for i in update.deleted_workloads], [str(instances["a"])])
    instances["a"] = update.added_workloads[0]
    ank.wait_for_workload_to_reach_state(instances["a"], RUNNING)
    b = (
        Workload.builder().workload_name("sdk-b").agent_name(AGENT).runtime("process").restart_policy("NEVER")
        .runtime_config(PRINT).add_dependency("sdk-a", "ADD_COND_RUNNING").add_tag("t", "u")
        .add_config("site", "sdk-site").add_file(File.from_data("/etc/text", "from a file\n"))
        .add_allow_state_rule("Read", ["desiredState"]).add_deny_state_rule("Write", ["agents"]).add_allow_log_rule(["sdk-*"]).build()
    )
    instances["b"] = ank.apply_workload(b).added_workloads[0]
    ank.wait_for_workload_to_reach_state(instances["b"], SUCCEEDED)
    want(ank.get_workload("sdk-b")[0].to_dict(), b.to_dict())
    want([str(s.workload_instance_name) for s in ank.get_workload_states_for_name("sdk-b").get_as_list()], [str(instances["b"])])
    want("sdk-b" in ank.get_workload_states_on_agent(AGENT).get_as_dict()[AGENT], True)
    want("sdk-b" in ank.get_workload_states().get_as_dict()[AGENT], True)


@check
def logs():
    now = datetime.datetime.now()
    hour = datetime.timedelta(hours=1)
    for _ in range(20):
        want(read_logs([instances["b"]]), (PRINTED, 1))
    want(read_logs([instances["b"]], tail=2), (PRINTED[-2:], 1))
    want(read_logs([instances["b"]], since=now - hour, until=now + hour), (PRINTED, 1))
    want(read_logs([instances["b"]], since=(now + hour).astimezone()), ([], 1))
    want(read_logs([instances["b"]], until="2020-01-02T15:04:05Z"), ([], 1))
    want(read_logs([WorkloadInstanceName(AGENT, "sdk-none", "x")]), ([], 0))
    lines, ended = read_logs([instances["a"], instances["b"]], follow=True, seconds=2)
    want((ended, len(lines) > 20), (1, True))


@check
def events():
    for n in range(20):
        told = ank.register_event(["desiredState.configs"])
        told.get(timeout=1)
        ank.add_config(f"sdk-{n}", "x")
        want(list(told.get(timeout=5).added_fields), [f"desiredState.configs.sdk-{n}"])
        ank.delete_config(f"sdk-{n}")
        want(list(told.get(timeout=5).removed_fields), [f"desiredState.configs.sdk-{n}"])
        ank.unregister_event(told)


@check
def configs():
    want(ank.get_config("sdk-site")[0], {"sdk-site": {"name": "here", "list": ["x", {"y": "z"}]}})
    refused(ank.delete_config, "sdk-site")  # it is used
    ank.add_config("sdk-long", "x" * 900_000)
    want(ank.get_configs()[0].keys() >= {"sdk-site", "sdk-long"}, True)
    ank.delete_config("sdk-long")
    ank.update_configs(ank.get_configs()[0])
    want("sdk-long" in ank.get_configs()[0], False)


@check
def agents():
    tags = ank.get_agents()[AGENT].tags
    ank.set_agent_tags(AGENT, {**tags, "sdk": "x"})
    want(ank.get_agent(AGENT).tags, {**tags, "sdk": "x"})
    ank.set_agent_tags(AGENT, tags)
    refused(ank.get_agent, "sdk-none", error=AnkaiosProtocolException)


@check
def errors():
    refused(ank.apply_manifest, manifest("  "))
    refused(ank.get_state, ["desiredState..workloads"])
    refused(ank.get_state, timeout=1e-6, error=TimeoutError)
    ank.get_state(["desiredState.workloads.sdk-check"])


@check
def deletion():
    ank.delete_workload("sdk-b")
    want([str(i) for i in ank.delete_manifest(manifest()).deleted_workloads], [str(instances["a"])])
    want(ank.get_workload("sdk-a"), [])
    want(ank.get_config("sdk-site")[0], {})


print("all ok" if failed == 0 else f"{failed} failed", flush=True)
sys.exit(failed > 0)
