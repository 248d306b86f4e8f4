"""nginx and haproxy as plain reverse proxies that keep their connections to the server behind."""

import os
import pathlib
import shutil

from processes import Process, free_port
from wire import Server

NGINX = """
daemon off; master_process off; pid {folder}/nginx-{port}.pid; error_log {folder}/nginx-{port}.err;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_header_timeout 500ms; client_body_timeout 500ms; lingering_timeout 500ms;
    upstream behind {{ server 127.0.0.1:{behind}; keepalive 1; }}
    server {{
        listen 127.0.0.1:{port};
        location = /proxy-is-there {{ return 200; }}
        location / {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            # As one sets it up for event streams.
            proxy_buffering off; proxy_request_buffering off;
        }}
    }}
}}
"""

HAPROXY = """
global
    maxconn 256
    nbthread 1
defaults
    mode http
    timeout connect 2s
    timeout client 500ms
    timeout server 20s
    timeout http-request 500ms
frontend front
    bind 127.0.0.1:{port}
    http-request return status 200 if {{ path /proxy-is-there }}
    default_backend back
backend back
    http-reuse always
    server behind 127.0.0.1:{behind}
"""


def program(name: str) -> str | None:
    """The proxy's binary: as its variable says, or as it is installed."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    return os.environ.get(f"{name.upper()}_BIN") or shutil.which(name, path=path)


class Proxy(Process):
    """A proxy before `behind`."""

    def __init__(self, name: str, binary: str, behind: Server, folder: pathlib.Path):
        port = free_port()
        template = NGINX if name == "nginx" else HAPROXY
        config = folder / f"{name}-{port}.conf"
        config.write_text(
            template.format(
                port=port,
                behind=behind.port,
                folder=folder,
            )
        )
        flag = ["-c", str(config)] if name == "nginx" else ["-db", "-f", str(config)]
        super().__init__([binary, *flag], port, "/proxy-is-there", folder)
