"""Numbers, once given, stay."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilience.errors import NumbersError
from resilience.model.network import Link, Network, Pools, Router, Uplink
from resilience.plan import LOCK_NAME, Numbers, make_plan, prune_numbers, read_numbers, write_numbers
from tests.support.plan_networks import named, small_network

NAMES = st.lists(
    st.from_regex(r"[a-z][a-z0-9]{0,6}", fullmatch=True).filter(lambda n: n not in {"r1", "r2"}),
    unique=True,
    min_size=1,
    max_size=6,
)


def with_routers(network: Network, names: list[str]) -> Network:
    """Return the network with more routers, each linked to r1."""
    routers = [Router(name=name, site=name) for name in names]
    links = [Link(name=f"r1-{name}", ends=("r1", name)) for name in names]
    return replace(
        network,
        routers={**network.routers, **named(*routers)},
        links={**network.links, **named(*links)},
    )


@settings(max_examples=25, deadline=None)
@given(names=NAMES, data=st.data())
def test_adding_and_removing_elements_moves_no_other_number(names: list[str], data: st.DataObject) -> None:
    """Whatever is added and removed, what stays keeps its numbers."""
    network = small_network()
    _, numbers = make_plan(network)

    _, more = make_plan(with_routers(network, names), numbers)
    kept = data.draw(st.lists(st.sampled_from(names), unique=True))
    _, fewer = make_plan(with_routers(network, kept), more)

    assert numbers.given.items() <= more.given.items()
    assert more.given.items() <= fewer.given.items()


@settings(max_examples=25, deadline=None)
@given(names=NAMES)
def test_one_more_link_changes_only_the_routers_at_its_ends(names: list[str]) -> None:
    """Nodes that are not at an end of a new link are planned as before."""
    network = with_routers(small_network(), names)
    _, numbers = make_plan(network)
    before, _ = make_plan(network, numbers)

    extra = Link(name=f"r2-{names[0]}", ends=("r2", names[0]))
    after, _ = make_plan(replace(network, links={**network.links, **named(extra)}), numbers)

    changed = {name for name, node in after.nodes.items() if before.nodes.get(name) != node}
    assert changed == {"r2", names[0]}


def test_a_rename_that_says_was_keeps_its_numbers() -> None:
    """`was:` moves the old name's numbers to the new one."""
    network = small_network()
    before, numbers = make_plan(network)

    uplink = replace(network.uplinks["b"], name="c", was="b")
    after, renamed = make_plan(replace(network, uplinks={**named(network.uplinks["a"]), "c": uplink}), numbers)

    assert [s.ends[0].address for s in before.sessions if s.name.startswith("b-")] == [
        s.ends[0].address for s in after.sessions if s.name.startswith("c-")
    ]
    assert "uplink c ipv4" in renamed.given


def test_a_rename_that_says_nothing_is_a_removal_and_an_addition() -> None:
    """Without `was:` a new name gets new numbers, and the old name's stay reserved."""
    network = small_network()
    _, numbers = make_plan(network)

    uplink = replace(network.uplinks["b"], name="c")
    _, renamed = make_plan(replace(network, uplinks={**named(network.uplinks["a"]), "c": uplink}), numbers)

    assert renamed.given["uplink b ipv4"] == numbers.given["uplink b ipv4"]
    assert renamed.given["uplink c ipv4"] != numbers.given["uplink b ipv4"]


def test_a_stated_number_wins_and_moves_nothing_else() -> None:
    """A link that states another link's locked network takes it; every third number stays."""
    network = with_routers(small_network(), ["r3"])
    _, numbers = make_plan(network)
    taken = ip_network(numbers.given["link r1-r2 ipv4"])
    first, second = (f"{address}/31" for address in taken)

    stated = replace(network.links["r1-r3"], addresses={"r1": (ip_interface(first),), "r3": (ip_interface(second),)})
    _, after = make_plan(replace(network, links={**network.links, "r1-r3": stated}), numbers)

    assert after.given["link r1-r2 ipv4"] != str(taken)
    same = numbers.given.keys() - {"link r1-r2 ipv4"}
    assert {key: after.given[key] for key in same} == {key: numbers.given[key] for key in same}


def test_no_two_numbers_are_equal() -> None:
    """Two hundred uplinks in one pool never share an address."""
    network = small_network()
    many = [Uplink(name=f"u{i}", router="r1", provider="alpha", rank=i + 1) for i in range(200)]
    _, numbers = make_plan(replace(network, uplinks=named(*many)))

    networks = [ip_network(value) for value in numbers.given.values() if "/" in value]
    assert len(set(networks)) == len(networks)


def test_the_lock_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Writing and reading give the same numbers, and writing the same twice changes nothing."""
    _, numbers = make_plan(small_network())

    assert write_numbers(tmp_path, numbers)
    assert not write_numbers(tmp_path, numbers)
    assert read_numbers(tmp_path) == numbers
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_NAME]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("link a ipv4: 10.0.0.0/31\nlink a ipv4: 10.0.0.2/31\n", "2: link a ipv4 stands on line 1 too"),
        (
            "link a ipv4: 10.0.0.0/31\nlink b ipv4: 10.0.0.0/31\n",
            "2: 10.0.0.0/31 is given to link a ipv4 on line 1 too",
        ),
        ("<<<<<<< HEAD\n", "1: not a line of the form"),
    ],
    ids=["one-key-twice", "one-number-twice", "a-merge-conflict"],
)
def test_a_damaged_lock_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    """What a merge can do to the file is named with its line."""
    (tmp_path / LOCK_NAME).write_text(text)

    with pytest.raises(NumbersError, match=message):
        read_numbers(tmp_path)


def test_pruning_forgets_what_is_gone_and_nothing_else() -> None:
    """After a prune only numbers of declared elements are left, unchanged."""
    network = small_network()
    _, numbers = make_plan(with_routers(network, ["r3"]))

    pruned = prune_numbers(network, numbers)

    assert not any("r3" in key for key in pruned.given)
    assert pruned.given.items() <= numbers.given.items()


def test_an_exhausted_pool_says_so() -> None:
    """Three hundred routers do not fit into a pool of 256 loopbacks."""
    network = small_network(pools=Pools(loopbacks=(ip_network("10.0.0.0/31"),)))
    with pytest.raises(NumbersError, match="every number of the pool"):
        make_plan(with_routers(network, ["r3"]))


def test_planning_twice_gives_equal_plans() -> None:
    """Planning is a function of the intent and the numbers."""
    network = small_network()
    first, numbers = make_plan(network)
    second, again = make_plan(network)

    assert first == second
    assert numbers == again == make_plan(network, Numbers(numbers.given))[1]
