"""What can be wrong with a git server: each an answer that a healthy one would not give."""

from __future__ import annotations

import itertools

from tests.git.servers import Ailment, Answer, GitHandler

PAUSE = 0.5
"""Seconds between two bytes of a server that drips."""


def silent(handler: GitHandler, _: Answer) -> bool:
    """Take the request, and say nothing."""
    handler.server.well.wait(60)
    handler.close_connection = True
    return True


def stalling(handler: GitHandler, answer: Answer) -> bool:
    """Send the head of an answer and half of its content, then nothing more."""
    _head(handler, answer)
    handler.wfile.write(answer.content[: len(answer.content) // 2])
    return silent(handler, answer)


def dripping(handler: GitHandler, answer: Answer) -> bool:
    """Send a byte every half second: each read is in time, and the whole never ends."""
    _head(handler, answer)
    for byte in answer.content[:120]:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        if handler.server.well.wait(PAUSE):
            break
    handler.close_connection = True
    return True


def truncating(handler: GitHandler, answer: Answer) -> bool:
    """Promise all, send half, hang up."""
    _head(handler, answer)
    handler.wfile.write(answer.content[: len(answer.content) // 2])
    handler.close_connection = True
    return True


def hanging_up(handler: GitHandler, _: Answer) -> bool:
    """Take the request, and hang up."""
    handler.close_connection = True
    return True


def refusing(handler: GitHandler, _: Answer) -> bool:
    """Answer 401, whatever the client proves itself with."""
    handler.answer(401, [("WWW-Authenticate", 'Basic realm="pages"')], b"")
    return True


def forbidding(handler: GitHandler, _: Answer) -> bool:
    """Answer 403."""
    handler.answer(403, [], b"no")
    return True


def failing(handler: GitHandler, _: Answer) -> bool:
    """Answer 500."""
    handler.answer(500, [], b"sorry")
    return True


def babbling(handler: GitHandler, answer: Answer) -> bool:
    """Answer what no git server says."""
    handler.answer(200, answer.headers, b"<html>\x1b[31mmaintenance</html>" * 100)
    return True


def flooding(handler: GitHandler, answer: Answer) -> bool:
    """Name branches without end."""
    handler.send_response(200)
    for name, value in answer.headers:
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(answer.content[: answer.content.index(b"0000") + 4])
    for number in itertools.count():
        if handler.server.well.is_set():
            break
        lines = [b"%040x refs/heads/b%d\n" % (at, at) for at in range(number * 1_000, number * 1_000 + 1_000)]
        handler.wfile.write(b"".join(b"%04x" % (len(line) + 4) + line for line in lines))
    handler.close_connection = True
    return True


def redirecting(elsewhere: str) -> Ailment:
    """Send whoever asks to another server."""

    def redirect(handler: GitHandler, _: Answer) -> bool:
        handler.answer(301, [("Location", elsewhere + handler.path)], b"")
        return True

    return redirect


def in_packs_only(ail: Ailment) -> Ailment:
    """Be well until a pack is asked for."""
    return lambda handler, answer: b"PACK" in answer.content and ail(handler, answer)


def times(count: int, ail: Ailment) -> Ailment:
    """Be ill for the first requests, then well."""
    left = itertools.count()
    return lambda handler, answer: next(left) < count and ail(handler, answer)


def _head(handler: GitHandler, answer: Answer) -> None:
    handler.send_response(answer.status)
    for name, value in answer.headers:
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(answer.content)))
    handler.end_headers()
