"""Every rule that an intent is held to. Each has golden messages under `tests/golden/errors/<rule>/`."""

from __future__ import annotations

FILE_RULES = {
    "no-file": "The intent is a readable file, or a folder with a network.yaml.",
    "too-large": "An intent is at most 4 MB.",
    "not-text": "An intent is text in UTF-8, without control characters.",
    "yaml-tab": "YAML is indented with spaces; a tab is refused.",
    "yaml-syntax": "The file is well-formed YAML.",
    "empty-file": "The file says something.",
    "several-documents": "One file holds one document.",
    "not-a-mapping": "The document is a mapping of keys to values.",
    "duplicate-key": "A key stands once in its mapping.",
    "yaml-key": "A key is plain text.",
    "yaml-alias": "An alias names an anchor that stands before it and does not contain it.",
    "yaml-expansion": "A file holds at most 100,000 values, counted after aliases are followed.",
    "yaml-depth": "Values are nested at most 20 deep.",
    "yaml-tag": "YAML tags are not used.",
    "yaml-merge": "YAML merge keys are not used.",
    "yaml-boolean": "yes, no, on and off are booleans to many YAML readers: write true or false, or quote a name.",
    "yaml-sexagesimal": "1:30 is a number of base 60 to many YAML readers: quote it.",
}

SHAPE_RULES = {
    "unknown-key": "Only the keys of the language are used.",
    "missing-key": "What has no safe default is stated.",
    "wrong-type": "A value has the shape that its key asks for.",
    "empty-value": "A key has a value.",
    "bad-choice": "A value that must be one of a few is one of them.",
    "bad-name": "A name is a DNS label: a-z, 0-9 and '-', at most 40 characters, no '-' at either end.",
    "bad-number": "A number is a whole number in its range, written in base 10.",
    "bad-duration": "A duration has a unit (300ms, 9s, 3m) and lies in its range.",
    "bad-capacity": "A capacity is bits a second with a unit (50M, 10G).",
    "bad-raw": "Raw lines are printable ASCII: at most 200 lines of 200 characters.",
    "bad-text": "Free text is one line of at most 200 characters.",
    "bad-rate": "A rate is a number a period, such as 4/year.",
    "bad-address": "An address is an IPv4 or IPv6 address.",
    "bad-prefix": "A prefix is an IPv4 or IPv6 network with its length.",
    "host-in-prefix": "A prefix is a network, not a host in it.",
    "prefix-as-address": "A prefix length stands only where it is meant.",
    "address-without-length": "An interface's address has its prefix length.",
    "unusable-address": "Addresses are ordinary unicast addresses.",
    "bad-asn": "An AS number is one that may be used (not 0, 23456, 65535, 4294967295 or reserved).",
    "bad-community": "A community is two numbers up to 65535 with a colon between, and not a reserved one.",
    "bad-interface": "An interface name is one that Linux and its tools accept.",
    "bad-zone": "A DNS zone is a domain name.",
    "bad-between": "A link has two ends.",
    "literal-secret": "A secret is a reference (env:, file:, vault:), never the secret itself.",
}

NAME_RULES = {
    "unknown-name": "What a name refers to is declared.",
    "duplicate-name": "Names are unique within their kind.",
    "name-clash": "Names do not meet in the names of lab nodes.",
    "reserved-name": "Names that the language or the lab gives itself are not used.",
    "ambiguous-name": "Where kinds mix, a name that several kinds bear is qualified.",
    "repeated-value": "A list names each thing once.",
    "was-exists": "`was:` names something that is gone, once.",
    "risk-circle": "Risks do not include each other in a circle.",
    "customer-routers": "A customer's routers are stated where there are several to choose from.",
    "customer-without-as": "What only BGP has is stated only for customers with an AS.",
    "link-to-itself": "A link connects two different routers.",
    "no-routers": "A network has a router.",
    "two-ports": "A router has one port at an exchange.",
}

NUMBER_RULES = {
    "duplicate-address": "An address is given to one interface or host.",
    "one-per-family": "One IPv4 and one IPv6 address at most.",
    "network-or-broadcast": "A host's address is not its network's first or broadcast address.",
    "circuit-without-room": "A circuit's network has room for both ends.",
    "neighbor-outside": "A neighbor's address lies in the circuit's network.",
    "neighbor-without-address": "A neighbor is stated together with our own address of that family.",
    "link-subnet": "Both ends of a link lie in one network.",
    "exchange-lan": "All addresses at an exchange lie in its LAN.",
    "overlapping-subnets": "The networks of different circuits and exchanges do not overlap.",
    "duplicate-interface": "A port of a router is used once.",
    "duplicate-prefix": "A prefix is stated once.",
    "own-prefix-length": "Our prefixes are ones that the Internet accepts: /8 to /24, /16 to /48.",
    "bogon-prefix": "Prefixes are not bogons (private ones only with `lab: true`).",
    "pool-overlap": "Pools overlap neither each other nor what is in use.",
    "pool-too-small": "A pool has numbers enough for what is declared.",
    "customer-overlap": "Customers' prefixes do not overlap.",
    "customer-outside": "A customer without an AS has prefixes inside ours.",
    "customer-covers": "A customer's prefix does not hold one of ours.",
    "service-outside": "A service's address lies inside our prefixes, and in no customer's.",
}

ROUTING_RULES = {
    "own-as": "Nobody else has our AS number.",
    "duplicate-as": "Networks that play different parts have different AS numbers.",
    "private-as": "No private AS number towards providers and exchanges (but with `lab: true`).",
    "maximum-below-present": "A maximum of prefixes is not below what the neighbour is declared to announce.",
    "bfd-too-slow": "BFD notices a failure before the hold time does.",
    "duplicate-validator": "An RPKI validator is stated once.",
    "raw-platform": "Raw lines are for the platform of their router.",
    "raw-place": "Raw lines stay in the place where they are put, and touch nothing but the router.",
}

PROMISE_RULES = {
    "service-silent": "A service listens on something.",
    "service-ports": "A service's listeners do not share a port.",
    "service-circle": "Services do not need each other in a circle.",
    "service-site": "A service stands at sites that have a router.",
    "objective-nobody": "A promise is made to somebody.",
    "objective-nothing": "What a promise keeps can exist.",
    "objective-no-failure": "What a promise must survive can happen.",
    "objective-itself": "What is kept and for whom it is kept differ.",
    "duplicate-objective": "A promise is made once.",
}

RULES: dict[str, str] = {
    **FILE_RULES,
    **SHAPE_RULES,
    **NAME_RULES,
    **NUMBER_RULES,
    **ROUTING_RULES,
    **PROMISE_RULES,
}
"""What each rule asks for, by its name."""
