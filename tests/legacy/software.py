"""The programs, none of them written here: how each is started, in a directory of its own.

Each pair moves MARK, in plaintext as the programs know it.
"""

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

MARK = b"what nobody on the way may read "
BODY = MARK * 20000
WEB, CACHE, DATABASE, SPEED, PIPE, SHELL = 8080, 6379, 5432, 5201, 7777, 22
USER = "postgres"


class Server(NamedTuple):
    """One daemon in the foreground."""

    port: int
    program: Sequence[object]
    user: str | None = None


class Client(NamedTuple):
    """What talks to it, and how its output proves that it did."""

    program: Callable[[str], Sequence[object]]
    """of the server's address"""
    proves: Callable[[bytes], bool]
    stdin: bytes | None = None


def scratch() -> Path:
    """A directory that goes with the test run, readable for all users."""
    home = Path(tempfile.mkdtemp(prefix="pyeno-legacy-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    home.chmod(0o755)
    return home


def quoted(address: str) -> str:
    """As URLs have it."""
    return f"[{address}]" if ":" in address else address


# -- web -------------------------------------------------------------------------------

NGINX = """
daemon off;
user root;
worker_processes 1;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ }}
http {{
    access_log off;
    sendfile on;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen {port};
        listen [::]:{port};
        root {home};
    }}
}}
"""
NODE_CLIENT = """
const url = `http://${process.argv[1]}:PORT/body`
require("http").get(url, (answer) => answer.pipe(process.stdout))
""".replace("PORT", str(WEB))
NODE_SERVER = """
const body = require("fs").readFileSync(process.argv[1])
require("http").createServer((_, answer) => answer.end(body)).listen(PORT, "::")
""".replace("PORT", str(WEB))


def nginx(home: Path) -> Server:
    (home / "body").write_bytes(BODY)
    configuration = home / "nginx.conf"
    configuration.write_text(NGINX.format(home=home, port=WEB))
    return Server(WEB, ["nginx", "-p", home, "-e", home / "error.log", "-c", configuration])


def node(home: Path) -> Server:
    (home / "body").write_bytes(BODY)
    return Server(WEB, ["node", "-e", NODE_SERVER, home / "body"])


def whole(output: bytes) -> bool:
    return output == BODY


def curl(address: str) -> list[object]:
    return ["curl", "-sS", "--max-time", "30", f"http://{quoted(address)}:{WEB}/body"]


def wget(address: str) -> list[object]:
    return [
        "wget",
        "-q",
        "-t",
        "1",
        "-T",
        "30",
        "-O",
        "-",
        f"http://{quoted(address)}:{WEB}/body",
    ]


def node_get(address: str) -> list[object]:
    return ["node", "-e", NODE_CLIENT, quoted(address)]


# linked statically, without libc: nothing can be put between it and the kernel
GO = """
package main

import (
	"io"
	"net/http"
	"os"
)

func check(err error) {
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
}

func main() {
	if os.Args[1] == "serve" {
		body, err := os.ReadFile(os.Args[2])
		check(err)
		http.HandleFunc("/body", func(answer http.ResponseWriter, _ *http.Request) {
			answer.Write(body)
		})
		check(http.ListenAndServe(":PORT", nil))
	}
	answer, err := http.Get("http://" + os.Args[2] + ":PORT/body")
	check(err)
	_, err = io.Copy(os.Stdout, answer.Body)
	check(err)
}
""".replace("PORT", str(WEB))


@cache
def go_program() -> Path:
    """Built once for a test run."""
    home = scratch()
    (home / "web.go").write_text(GO)
    words = ["go", "build", "-o", home / "web", home / "web.go"]
    settings = {"CGO_ENABLED": "0", "GOPROXY": "off", "GOCACHE": str(home), "HOME": str(home)}
    subprocess.run(words, check=True, capture_output=True, cwd=home, env=os.environ | settings)
    return home / "web"


def go(home: Path) -> Server:
    (home / "body").write_bytes(BODY)
    return Server(WEB, [go_program(), "serve", home / "body"])


def go_get(address: str) -> list[object]:
    return [go_program(), "get", quoted(address)]


# -- redis -----------------------------------------------------------------------------


def redis(home: Path) -> Server:
    words = ["redis-server", "--port", CACHE, "--dir", home, "--save", "", "--appendonly", "no"]
    return Server(CACHE, [*words, "--protected-mode", "no", "--bind", "*", "-::*"])


def redis_cli(address: str) -> list[object]:
    return ["redis-cli", "-h", address, "-p", CACHE]


REDIS_TALK = b"SET mark '%s'\nGET mark\n" % MARK


# -- PostgreSQL ------------------------------------------------------------------------


def postgres_program(name: str) -> str:
    """Debian keeps the daemon's programs out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    assert found, f"no {name}: apt-get install postgresql"
    return str(found[-1])


@cache
def cluster() -> Path:
    """An empty database of this test run's own, which every server of it uses in turn."""
    data = scratch() / "data"
    data.mkdir()
    shutil.chown(data, USER, USER)
    as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
    initdb = [postgres_program("initdb"), "-D", str(data), "-A", "trust", "--no-sync"]
    subprocess.run([*as_user, *initdb], check=True, capture_output=True, cwd="/")
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all trust\n")
    return data


def postgres(home: Path) -> Server:
    data = cluster()
    settings = {
        "listen_addresses": "*", "port": DATABASE, "unix_socket_directories": data,
        "ssl": "off", "fsync": "off",
    }  # fmt: skip
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return Server(DATABASE, [postgres_program("postgres"), "-D", data, *words], USER)


def psql(address: str) -> list[object]:
    sentence = f"select repeat('{MARK.decode()}', 1000)"
    return ["psql", "-X", "-A", "-t", "-h", address, "-U", USER, "-c", sentence, "postgres"]


# -- the rest --------------------------------------------------------------------------


def iperf3(home: Path) -> Server:
    return Server(SPEED, ["iperf3", "-s", "-p", SPEED])


def iperf3_client(*more: str) -> Callable[[str], Sequence[object]]:
    return lambda address: ["iperf3", "-c", address, "-p", SPEED, "-n", "50M", "-J", *more]


# -- pairs -----------------------------------------------------------------------------


PAIRS: dict[str, tuple[Callable[[Path], Server], Client]] = {
    "curl-nginx": (nginx, Client(curl, whole)),
    "wget-nginx": (nginx, Client(wget, whole)),
    "node-nginx": (nginx, Client(node_get, whole)),
    "curl-node": (node, Client(curl, whole)),
    "go": (go, Client(go_get, whole)),
    "redis": (redis, Client(redis_cli, lambda out: MARK in out, REDIS_TALK)),
    "psql": (postgres, Client(psql, lambda out: out.strip() == (MARK * 1000).strip())),
}
