"""Drives a cluster with python-fleet, a client of fleet's time that is made from the API's discovery document.

    python-fleet.py ENDPOINT    such as http://10.0.0.1:49153 or http+unix://%2Fvar%2Frun%2Ffleet.sock
"""
import sys
import time

import fleet.v1 as fleet


def wait_for(what, seen):
    for _ in range(200):
        if seen():
            return
        time.sleep(0.1)
    raise SystemExit("waited in vain until " + what)


client = fleet.Client(sys.argv[1])
machines = list(client.list_machines())
assert len(machines) == 2, machines
assert all(machine["primaryIP"].startswith("10.99.0.") for machine in machines), machines

unit = fleet.Unit()
unit.add_option("Service", "ExecStart", "/bin/sleep infinity")
unit.add_option("X-Fleet", "MachineMetadata", "name=m2")
unit = client.create_unit("python.service", unit)
assert unit.currentState == "inactive", unit
assert [u["name"] for u in client.list_units()] == ["python.service"]


def states():
    return list(client.list_unit_states(unit_name="python.service"))


unit.set_desired_state("launched")
wait_for("the unit runs", lambda: [s["systemdActiveState"] for s in states()] == ["active"])
assert client.get_unit("python.service").currentState == "launched"
assert not list(client.list_unit_states(machine_id="nosuch"))

client.set_unit_desired_state("python.service", "loaded")
wait_for("the unit has stopped", lambda: [s["systemdActiveState"] for s in states()] == ["inactive"])
client.destroy_unit("python.service")
wait_for("nothing is left", lambda: not states() and not list(client.list_units()))
try:
    client.get_unit("python.service")
    raise SystemExit("the unit is still there")
except fleet.APIError as error:
    assert error.code == 404 and error.message == "unit does not exist", error
print("python-fleet is content")
