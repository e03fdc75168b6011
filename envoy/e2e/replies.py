"""Replies of upstreams that mean no good, or know no better, and what a client was told of them."""

PLAIN, JSON, GZIP = "content-type: text/plain", "content-type: application/json", "content-encoding: gzip"
CHUNKED = "transfer-encoding: chunked"
ALL_BYTES = bytes(range(256)) * 16
# Of what is stored.
LONGEST = 256 << 10


def reply(*lines, body=b"said", length=True, content_type=PLAIN):
    """To the letter, but for a length that is right."""
    lines = ["HTTP/1.1 200 OK", *filter(None, [content_type]), *lines, *([f"content-length: {len(body)}"] * length)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(*lines, body, content_type=PLAIN):
    return reply(CHUNKED, *lines, body=body, length=False, content_type=content_type)


def in_chunks(*chunks):
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in [*chunks, b""])


def json(body):
    return reply("etag: whole", content_type=JSON, body=body)


def numbered(count, value="x"):
    return [f"x-{number}: {value}" for number in range(count)]


def names(count):
    return ", ".join(f"x-{number}" for number in range(count))


KEPT = {
    "all_bytes": reply(body=ALL_BYTES),
    "all_bytes_in_chunks": chunked(body=in_chunks(*(ALL_BYTES[at : at + 7] for at in range(0, 4096, 7)))),
    "no_chunk": chunked(body=in_chunks(), content_type=None),
    "the_longest_body": reply(body=b"\0" * LONGEST),
    "trailers": chunked(body=in_chunks(b"said")[:-2] + b"x-trailer: lost\r\n\r\n"),
    "less_length_than_body": reply("content-length: 4", body=b"said, and then some", length=False),
    "a_chunk_longer_than_it_says": chunked(body=b"2\r\nsaid\r\n0\r\n\r\n"),
    "no_body": reply(body=b""),
    "no_content_type": reply(content_type=None),
    "many_headers": reply(*numbered(250)),
    "a_long_header": reply(f"x-long: {'x' * 200_000}"),
    "strange_names": reply("x!#$%&'*+.^_`|~: 1", "1: 2"),
    "strange_values": reply("x-empty:", 'x-tab: \t"a\tb" \t', 'x-json: {\\"}', "x-same: 1", "x-same: 2"),
    "vary_with_odd_spaces": reply("vary:  \t accept-language\t ,, ,", "vary:", "Vary: ,\tX-NONE"),
    "vary_on_what_is_not_sent": reply(f"vary: {names(32)}"),
    "numbers_beyond_all": reply(f"cache-control: max-age={10**30}, stale-if-error={10**30}", "age: -1", "date: never"),
    "two_content_types": reply("content-type: text/html", content_type=JSON, body=b"{}"),
    "json_in_name_only": json(ALL_BYTES),
    "json_that_breaks_off": json(b'{"said": [1, 2'),
    "json_with_more_behind_it": json(b'{"said": 1} {"said": 2}'),
    "json_that_is_no_utf8": json(b'{"said": "\xff\xfe"}'),
    "json_with_a_byte_order_mark": json(b"\xef\xbb\xbf{}"),
    "json_without_a_place": json(b"[]"),
    "json_with_nul": json(b'{"said": "\0"}'),
    "json_with_what_is_none": json(b'{"said": NaN}'),
    "json_that_only_opens": json(b'{"said": ' + b"[" * 100_000),
}

# These pass, and that is all.
NOT_KEPT = {
    "a_header_that_is_no_utf8": reply("x-name: Zo\xeb"),
    # Envoy takes 1024 from a filter; of more it takes none, and sends the body without any.
    "more_headers_than_a_filter_may_send": reply(*numbered(1100)),
    # Nobody knows whether that was its end.
    "a_body_that_ends_with_the_connection": reply(length=False),
    "a_body_too_long": reply(body=b"\0" * (LONGEST + 1)),
    "a_body_too_long_in_chunks": chunked(body=in_chunks(*[b"\0" * 4096] * 65)),
    "two_megabytes_of_headers": reply(*numbered(2000, "x" * 1000)),
    "a_header_of_two_megabytes": reply(f"x-long: {'x' * 2_000_000}"),
    "nonsense_about_caching": reply('cache-control: ,;=", max-age="60, =1, public="\\'),
    "vary_on_everything": reply("vary: *"),
    "vary_on_everything_after_all": reply("vary: accept-language,x-none ,*"),
    "vary_on_hundreds": reply(f"vary: {names(500)}"),
    "vary_on_a_long_name": reply(f"vary: {'x' * 10_000}"),
    "vary_on_no_name": reply("vary: accept language"),
    "vary_on_no_ascii": reply("vary: accept-\xe9"),
}

# Their headers are good, but the body does not come to its end.
BROKEN = {
    "more_length_than_body": reply("content-length: 1000", length=False),
    "chunks_that_break_off": chunked(body=in_chunks(b"said")[:-5]),
    "a_chunk_without_length": chunked(body=b"4\r\nsaid\r\nsoon\r\n"),
}

# To Envoy these are no replies.
REFUSED = {
    "a_length_and_chunks": chunked("content-length: 4", body=in_chunks(b"said")),
    "a_length_and_other_chunks": chunked("content-length: 1000", body=in_chunks(b"said")),
    "two_lengths": reply("content-length: 1000"),
    "no_number_as_length": reply("content-length: soon", length=False),
    "a_length_below_zero": reply("content-length: -1", length=False),
    "a_length_beyond_all": reply(f"content-length: {10**30}", length=False),
    "nul_in_a_header": reply("x-bad: a\0b"),
    "a_status_of_no_digits": reply().replace(b"200", b"two"),
}

# By what they are before and after.
ANNOTATED = {
    "json": (b'{"said": 1}', b'{"said": 1,"cached":true}'),
    "json_said_twice": (b'{"cached":0,"cached":[1,2]}', b'{"cached":0,"cached":true}'),
    "deep_json": tuple(b'{"said":' + b"[" * 100_000 + b"]" * 100_000 + end for end in (b"}", b',"cached":true}')),
    "wide_json": tuple(b"{" + b'"a":0,' * 40_000 + end for end in (b'"b":1}', b'"b":1,"cached":true}')),
}

# Of one reply alone, or said anew each time.
OF_ONE = (
    *(b"connection", b"transfer-encoding", b"content-length", b"date", b"server", b"x-envoy-upstream-service-time"),
    *(b"age", b"cache-status", b"x-circuit-breaker", b"x-circuit-breaker-fallback"),
)


class Said:
    """What a client read until its connection was closed."""

    def __init__(self, data):
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        self.status = int(first.split(b" ")[1])
        self._headers = [tuple(line.split(b": ", 1)) for line in lines]
        self.body = unchunked(body) if self.of(b"transfer-encoding") else body
        self.is_complete = self.body is not None and self.of(b"content-length") in ([], [b"%d" % len(body)])
        self.is_own = bool(self.of(b"x-circuit-breaker"))

    def of(self, name):
        return [value for known, value in self._headers if known == name]

    @property
    def lasting(self):
        return self.status, sorted(each for each in self._headers if each[0] not in OF_ONE), self.body


def unchunked(rest):
    """Nothing, where there is no last chunk."""
    whole = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return whole
        whole, rest = whole + rest[:length], rest[length + 2 :]
    return None
