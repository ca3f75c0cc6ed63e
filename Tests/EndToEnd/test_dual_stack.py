# SPDX-License-Identifier: Apache-2.0
"""Both families of addresses: listed together, by a name, or on one socket that was inherited."""

import socket

import pytest
from fixtures.names import Names
from fixtures.ports import free_port
from fixtures.wire import until


def status(host: str, port: int, path: str = "/health") -> int:
    """Of a request to an address of either family."""
    with socket.create_connection((host, port), 10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return int(answer.split()[1])


@pytest.fixture
def dual_stack():
    """What `ListenStream=PORT` of systemd makes."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        yield listener


@pytest.mark.parametrize("first", ["0.0.0.0", "[::]"])
def test_both_wildcards_are_served(launch, upstream, first):
    port = free_port()
    second = {"0.0.0.0": "[::]", "[::]": "0.0.0.0"}[first]
    daemon = launch(upstream, listen=[f"{first}:{port}", f"{second}:{port}"])
    assert daemon.listening() == [f"{first}:{port}", f"{second}:{port}"]
    assert (status("127.0.0.1", port), status("::1", port)) == (200, 200)


def test_an_ipv6_wildcard_alone_serves_both(launch, upstream):
    port = free_port()
    launch(upstream, listen=f"[::]:{port}")
    assert (status("127.0.0.1", port), status("::1", port)) == (200, 200)


def test_beside_a_loopback_it_leaves_ipv4_to_that(launch, upstream):
    port = free_port()
    launch(upstream, listen=[f"127.0.0.1:{port}", f"[::]:{port}"])
    assert (status("127.0.0.1", port), status("::1", port)) == (200, 200)
    with pytest.raises(ConnectionRefusedError):
        status("127.0.0.2", port)


@pytest.mark.parametrize("listed", [["0.0.0.0"], ["[::]"], ["0.0.0.0", "[::]"], ["[::]", "127.0.0.1"]])
def test_an_inherited_dual_stack_socket_serves_both(launch, upstream, dual_stack, listed):
    port = dual_stack.getsockname()[1]
    daemon = launch(upstream, listen=[f"{host}:{port}" for host in listed], inherit=[dual_stack], wait=False)
    until(lambda: "info listening " in daemon.said(), "the daemon listening")
    assert daemon.said().count("info listening ") == 1 and f"info listening address=[::]:{port}\n" in daemon.said()
    assert (status("127.0.0.1", port), status("::1", port)) == (200, 200)


def test_one_that_would_serve_more_than_is_listed_is_named(launch, upstream, dual_stack):
    port = dual_stack.getsockname()[1]
    env = {"LISTEN_FDNAMES": "web.socket"}
    daemon = launch(upstream, listen=f"127.0.0.1:{port}", inherit=[dual_stack], env=env, wait=False)
    assert daemon.wait() == 78
    assert (
        f"descriptor 3 (web.socket) of LISTEN_FDS listens on [::]:{port}, which is none of listen: 127.0.0.1:{port}"
        in daemon.said()
    )


@pytest.fixture
def names(folder) -> Names:
    return Names(folder)


def test_a_name_is_all_its_addresses(launch, upstream, names):
    port = free_port()
    names.set("::1", "127.0.0.1", name="localhost")
    daemon = launch(upstream, listen=f"localhost:{port}", within=names.within)
    assert daemon.listening() == [f"[::1]:{port}", f"127.0.0.1:{port}"]
    assert (status("127.0.0.1", port), status("::1", port)) == (200, 200)


def test_a_name_of_the_admin_address_is_all_its_addresses(launch, upstream, names):
    port = free_port()
    # Not each is one of this machine.
    names.set("::1", "192.0.2.9", "127.0.0.1", name="localhost")
    daemon = launch(upstream, admin=f"localhost:{port}", within=names.within, ready=False)
    until(lambda: daemon.times_said("admin listening") == 2, "the admin address on both")
    until(lambda: status("127.0.0.1", port, "/readyz") == 200, "/readyz")
    assert (status("::1", port, "/readyz"), status("::1", port, "/livez")) == (200, 200)


def test_a_name_of_the_admin_address_that_is_none_is_told(launch, upstream, names):
    daemon = launch(upstream, admin="nowhere.internal:9901", within=names.within, wait=False)
    assert daemon.wait() == 1
    assert daemon.said().splitlines()[-1] == (
        "tollgate: cannot listen on nowhere.internal:9901 for admin: nowhere.internal: Name or service not known "
        "(admin: sets another address, off none)"
    )


def test_an_address_of_a_name_that_this_machine_lacks_is_left_out(launch, upstream, names):
    port = free_port()
    # As ::1 is without IPv6.
    names.set("2001:db8::9", "127.0.0.1", name="app")
    daemon = launch(upstream, listen=f"app:{port}", within=names.within)
    assert daemon.listening() == [f"127.0.0.1:{port}"]
    assert status("127.0.0.1", port) == 200


def test_a_name_without_an_address_of_this_machine_is_told(launch, upstream, names):
    names.set("2001:db8::9", "192.0.2.9", name="app")
    daemon = launch(upstream, listen="app:8080", within=names.within, wait=False)
    assert daemon.wait() == 1
    assert "cannot listen on app:8080: this machine has none of its addresses: " in daemon.said()
    assert "[2001:db8::9]:8080" in daemon.said() and "192.0.2.9:8080" in daemon.said()


def test_the_address_of_a_name_that_is_taken_is_named(launch, upstream, names):
    names.set("::1", "127.0.0.1", name="localhost")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = launch(upstream, listen=f"localhost:{port}", within=names.within, wait=False)
        assert daemon.wait() == 1
    assert f"cannot listen on localhost:{port} (127.0.0.1:{port}): Address already in use" in daemon.said()
