"""Times requests to a gateway from inside its own pod, so that no forwarded port is in the way.

It is sent to the pod as text and run there: standard library only. Prints one line of JSON, milliseconds.
"""

import http.client
import json
import time

WARM_UP, REQUESTS = 100, 500


def main() -> None:
    """One request after another over one connection; users and devices vary."""
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=10)
    taken = []
    for number in range(WARM_UP + REQUESTS):
        body = {"user_id": number % 400 + 1, "k": 10, "context": {"device_type": number % 3}}
        content = json.dumps(body)
        began = time.perf_counter()
        connection.request("POST", "/v1/recommend", content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        taken.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, answer.status
    taken = sorted(taken[WARM_UP:])
    print(
        json.dumps({f"p{share}": round(taken[len(taken) * share // 100], 2) for share in (50, 99)}),
        flush=True,
    )


if __name__ == "__main__":
    main()
