"""Messages to the kernel: built as the kernel reads them."""

from __future__ import annotations

import struct

import pytest

from resilience.lab.netlink import (
    HOOK_EGRESS,
    HOOK_INGRESS,
    CableEnd,
    Netlink,
    NetlinkError,
    attribute,
    attributes,
    delete_table,
    drop_on_device,
    link_indexes,
    nested,
    new_cable,
    set_link,
)


def test_attributes_come_back_as_they_were_packed() -> None:
    """Padding is added and taken away again; nesting keeps its children."""
    packed = attribute(3, b"eth0\0") + nested(18, attribute(1, b"veth\0"))
    found = dict(attributes(packed))

    assert len(packed) % 4 == 0
    assert found[3] == b"eth0\0"
    assert dict(attributes(found[18])) == {1: b"veth\0"}


def test_damaged_attributes_end_the_reading() -> None:
    """A length that cannot be is no endless loop."""
    assert list(attributes(struct.pack("=HH", 0, 1) + b"x" * 8)) == []


def test_a_cable_carries_both_ends_whole() -> None:
    """Names, numbers and namespaces of the near end outside, of the far end nested."""
    _, _, body = new_cable(CableEnd(7, "near", 10, 1500), CableEnd(8, "far", 11, 9000))

    assert struct.unpack_from("=BxHiII", body)[2] == 10
    outer = dict(attributes(body[16:]))
    assert outer[3] == b"near\0"
    assert outer[28] == struct.pack("=I", 7)
    peer = dict(attributes(dict(attributes(outer[18]))[2]))[1]
    assert struct.unpack_from("=BxHiII", peer)[2] == 11
    assert dict(attributes(peer[16:]))[3] == b"far\0"
    assert dict(attributes(peer[16:]))[4] == struct.pack("=I", 9000)


def test_losing_packets_is_one_transaction_of_a_table_and_a_chain_for_each_way() -> None:
    """Begin, table, chains, end; taking it away is one too."""
    both = drop_on_device("nr_x", "eth0", [HOOK_INGRESS, HOOK_EGRESS])
    one = drop_on_device("nr_x", "eth0", [HOOK_EGRESS])

    assert [len(both), len(one), len(delete_table("nr_x", device=True))] == [5, 4, 3]
    assert [both[0][0], both[-1][0]] == [16, 17]


def test_the_kernel_answers_questions_and_says_no() -> None:
    """Asked of the namespace that the test runs in: reading needs no privilege, and an interface 0 cannot be raised."""
    with Netlink() as netlink:
        assert link_indexes(netlink)["lo"] == 1
        with pytest.raises(NetlinkError) as refused:
            netlink.request([set_link(2**30, up=True)])
    assert refused.value.position == 0
