"""moto as an S3 service on loopback, one request at a time, so that a put with a condition is one step.

Prints its port when it listens, and ends when its stdin does. The bucket is called `lake`; it is in memory.
"""

import logging
import sys
import threading

from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.ERROR)
s3_backends["123456789012"]["aws"].create_bucket("lake", "us-east-1")
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
print(server.port, flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
server.serve_forever()
