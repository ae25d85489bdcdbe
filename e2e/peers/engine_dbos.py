"""Three effects in a row as steps of a DBOS workflow. The second life recovers it, as `DBOS.launch` does by default."""

import json
import os

from dbos import DBOS, SetWorkflowID

from tool import effect

NAME = "three-effects"
DBOS(config={
    "name": "peer",
    "system_database_url": f"sqlite:///{os.environ['PEER_STATE']}/dbos.sqlite",
    "run_admin_server": False,
    "application_version": "1",
    "executor_id": "local",
})


@DBOS.step()
def one(number):
    return effect(NAME, number, f"{DBOS.workflow_id}:{DBOS.step_id}")


@DBOS.workflow()
def three():
    return [one(number) for number in range(3)]


if __name__ == "__main__":
    DBOS.launch()
    if os.environ["PEER_LIFE"] == "1":
        with SetWorkflowID(NAME):
            handle = DBOS.start_workflow(three)
    else:
        handle = DBOS.retrieve_workflow(NAME)
    result = handle.get_result()
    print(json.dumps({"status": handle.get_status().status, "result": result}), flush=True)
    os._exit(0)
