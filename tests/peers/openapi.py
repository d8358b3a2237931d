"""What schemathesis has to know about the control API besides its description: the hooks of
`control::openapi::schemathesis_finds_nothing`."""

from pathlib import Path

import schemathesis
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
COMPONENT = (ROOT / "runtime/wireplug/codecs/pomelo.wasm").read_bytes()
COMMANDS = [
    b'{"id":1,"verb":"push","target":"all","route":"onChat","body":{"text":"hi"}}\n',
    b'{"id":2,"verb":"kick","target":"user.nobody","text":"bye"}\n{"id":3}\n',
]

schemathesis.openapi.media_type("application/wasm", st.just(COMPONENT) | st.binary(max_size=64))
schemathesis.openapi.media_type("application/x-ndjson", st.sampled_from(COMMANDS) | st.binary(max_size=64))
schemathesis.openapi.media_type("application/toml", st.text(max_size=64).map(str.encode))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Ends each trace soon."""
    if case.path.startswith("/trace"):
        case.query["duration"] = "100ms"
