"""What each server is told: everything on one thread, with keep-alive on both sides, and nothing written per request."""

from pathlib import Path

LUA = Path(__file__).parent.parent / "lua"

NGINX = """\
{modules}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream origin {{
        server {origin};
        keepalive 2048;
        keepalive_requests 1000000000;
    }}
{guard_settings}
    server {{
        listen {listen} backlog=4096;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            # The answer of 100 KiB in memory, not in a file.
            proxy_buffers 16 8k;
            proxy_max_temp_file_size 0;
{guard_phases}
        }}
    }}
}}
"""

LUA_MODULES = """\
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;"""

LUA_SETTINGS = """\
    lua_package_path "{lua}/?.lua;;";
    lua_shared_dict versions 256m;
    lua_shared_dict writes 16m;
    init_by_lua_block {{ require("guard") }}"""

# A write is neither cut off when its client leaves nor sent again.
LUA_PHASES = """\
            proxy_ignore_client_abort on;
            proxy_next_upstream off;
            access_by_lua_file {lua}/access.lua;
            header_filter_by_lua_file {lua}/header_filter.lua;
            log_by_lua_file {lua}/log.lua;"""

HAPROXY = """\
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    http-reuse always
    timeout connect 5s
    timeout client 75s
    timeout server 75s
listen proxy
    bind {listen} backlog 4096
    server origin {origin}
"""

# Defaults, but for the number of threads and connections, and that no earlier process can have sent anything.
IFMATCH = """\
[server]
listen = ["{listen}"]
admin = "{admin}"
workers = 1
drain_timeout = "1s"

[ledger]
max_resources = 2_000_000
start_hold = "0s"

[upstreams.origin]
servers = ["{origin}"]
max_idle = 2048
max_connections = 2048

[[routes]]
name = "small"
path = "/1k/{{id}}"
upstream = "origin"

[[routes]]
name = "unguarded"
path = "/1k/off/{{id}}"
upstream = "origin"
mode = "off"

[[routes]]
name = "large"
path = "/100k/{{id}}"
upstream = "origin"
"""


def nginx(folder: Path, listen: str, origin: str) -> str:
    return NGINX.format(folder=folder, listen=listen, origin=origin, modules="", guard_settings="", guard_phases="")


def nginx_with_guard(folder: Path, listen: str, origin: str) -> str:
    return NGINX.format(
        folder=folder,
        listen=listen,
        origin=origin,
        modules=LUA_MODULES,
        guard_settings=LUA_SETTINGS.format(lua=LUA),
        guard_phases=LUA_PHASES.format(lua=LUA),
    )


def haproxy(listen: str, origin: str) -> str:
    return HAPROXY.format(listen=listen, origin=origin)


def ifmatch(listen: str, admin: str, origin: str) -> str:
    return IFMATCH.format(listen=listen, admin=admin, origin=origin)
