"""How the servers of this folder listen over HTTP; what they serve is their own matter."""

import socket


def serve(app, path):
    """Serves the app on a free port of this machine, and prints its address as the first line on stdout."""
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}{path}", flush=True)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])
