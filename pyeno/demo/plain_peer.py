"""A peer without ENO: a standard-library socket that echoes one connection.

Run by its path, so that nothing of pyeno is imported.  Prints one JSON object:
the bytes it received and their SHA-256.
"""

import hashlib
import json
import socket
import sys


def main(host: str, port: str) -> None:
    """Accept once on ``host:port``, echo until the end of the stream."""
    digest, count = hashlib.sha256(), 0
    with socket.create_server((host, int(port))) as listener:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(1 << 16):
                digest.update(data)
                count += len(data)
                connection.sendall(data)
    json.dump({"bytes": count, "sha256": digest.hexdigest()}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
