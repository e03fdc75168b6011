"""A server that fails on demand, and counts what reaches it. It speaks HTTP/1.1 and HTTP/2 (prior knowledge) on one port.

    python -m upstream --port 8080 --control 8081
    curl -X PUT --data status/503 127.0.0.1:8081/behaviour      # from now on
    curl 127.0.0.1:8080/delay/0.5?retry-after=7                 # for one request; the query adds response headers
    curl 127.0.0.1:8081/counts

The behaviours are in behaviours.py and pieces.py, the control requests in control.py.
"""
