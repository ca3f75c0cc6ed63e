# SPDX-License-Identifier: Apache-2.0
"""What Python's json makes of texts, beside what our scanner made of them.

Reads lines `<text in hexadecimal> <what we said>` and prints those on which the two differ.
"""

import json
import sys

sys.set_int_max_str_digits(0)
sys.setrecursionlimit(100_000)
NAMES = ("jsonrpc", "id", "method", "params", "result", "error")
PARAMETERS = ("name", "uri")
RESOURCES = ("resources/read", "resources/subscribe", "resources/unsubscribe")


class Refused(Exception):
    pass


class Object(list):
    """The members in order, so that what comes twice is seen."""


def no_constant(text):
    raise ValueError(text)


def depth(value) -> int:
    if isinstance(value, Object):
        return 1 + max((depth(each) for _, each in value), default=0)
    if isinstance(value, list):
        return 1 + max((depth(each) for each in value), default=0)
    return 0


def members(value: Object, names) -> tuple[dict, bool]:
    """Those of interest, and whether one is misspelt."""
    found, misspelt = {}, False
    for name, each in value:
        if name in names:
            if name in found:
                raise Refused(name)
            found[name] = each
        elif name.casefold() in names and len(name) == len(name.casefold()):
            misspelt = True
    return found, misspelt


def octets(text) -> str:
    if not isinstance(text, str):
        return "-"
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "x" + text.encode().hex()


def message(value) -> tuple:
    """Kind, method, id as a value, and what it names."""
    if not isinstance(value, Object):
        if isinstance(value, list):
            raise Refused("batch within a batch")
        return ("other", "-", None, "-")
    found, misspelt = members(value, NAMES)
    if misspelt:
        raise Refused("misspelt")
    named, misspelt = {}, False
    if isinstance(found.get("params"), Object):
        named, misspelt = members(found["params"], PARAMETERS)
    answers = [name for name in ("result", "error") if name in found]
    identified = "+id" if "id" in found else ""
    if "method" not in found:
        is_answer = len(answers) == 1 or (identified and not answers)
        return (("response" if is_answer else "other") + identified, "-", found.get("id"), "-")
    if answers:
        raise Refused("request and response")
    method = found["method"]
    target = "-"
    if isinstance(method, str):
        if method in ("tools/call", "prompts/get"):
            target = method.split("s/")[0] + ":" + octets(named.get("name"))
        elif method in RESOURCES:
            target = "resource:" + octets(named.get("uri"))
        if misspelt and target != "-":
            raise Refused("misspelt")
    kind = "other" if not isinstance(method, str) else "request" if identified else "notification"
    return (kind + identified, octets(method), found.get("id"), target)


def read(text: bytes):
    try:
        value = json.loads(text.decode(), object_pairs_hook=Object, parse_constant=no_constant)
    except (ValueError, RecursionError):
        return "unreadable"
    if depth(value) > 64:
        return "refused"
    try:
        is_batch = isinstance(value, list) and not isinstance(value, Object)
        return ("batch" if is_batch else "single", [message(each) for each in (value if is_batch else [value])])
    except Refused:
        return "refused"


def agree(ours: str, theirs) -> bool:
    if isinstance(theirs, str):
        # We stop at the first flaw, which may be of either kind; Python reads to the end.
        return ours == theirs or (theirs == "unreadable" and ours == "refused")
    kind, found = theirs
    words = ours.split(" ")
    if words[0] != kind or len(words) != 1 + 4 * len(found):
        return False
    for number, (kind, method, identity, target) in enumerate(found):
        our_kind, our_method, our_id, our_target = words[1 + 4 * number : 5 + 4 * number]
        if (our_kind, our_method, our_target) != (kind, method, target):
            return False
        has_text = isinstance(identity, (str, int, float)) and not isinstance(identity, bool)
        if has_text != (our_id != "-"):
            return False
        if has_text and json.loads(bytes.fromhex(our_id[1:]).decode()) != identity:
            return False
    return True


for line in sys.stdin:
    text, _, ours = line.rstrip("\n").partition(" ")
    theirs = read(bytes.fromhex(text))
    if not agree(ours, theirs):
        print(bytes.fromhex(text), ours, theirs)
