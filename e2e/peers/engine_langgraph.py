"""Three effects in a row as rounds of a LangGraph loop. The second life resumes the thread with `invoke(None)`."""

import json
import os
import sqlite3
from typing import TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from tool import effect

THREAD = "three-effects"


class State(TypedDict):
    number: int


def one(state: State) -> State:
    number = state["number"]
    effect(THREAD, number, f"{THREAD}:{number}")
    return {"number": number + 1}


def build(saver):
    graph = StateGraph(State)
    graph.add_node("one", one)
    graph.add_edge(START, "one")
    graph.add_conditional_edges("one", lambda state: "one" if state["number"] < 3 else END)
    return graph.compile(checkpointer=saver)


if __name__ == "__main__":
    connection = sqlite3.connect(f"{os.environ['PEER_STATE']}/langgraph.sqlite", check_same_thread=False)
    graph = build(SqliteSaver(connection))
    config = {"configurable": {"thread_id": THREAD}}
    options = {"durability": os.environ["PEER_DURABILITY"]} if os.environ.get("PEER_DURABILITY") else {}
    given = {"number": 0} if os.environ["PEER_LIFE"] == "1" else None
    result = graph.invoke(given, config, **options)
    print(json.dumps({"status": "SUCCESS" if result["number"] == 3 else "PENDING", "result": result}), flush=True)
