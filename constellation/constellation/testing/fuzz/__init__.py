"""A fuzzer of AIP: what a peer could send is made up by the million, and the codec, sessions and a hub have to bear it.

    corpus ──> mutation ──> input (steps, made from a seed) ──> target: what must hold, or `Breach`

The same seed makes the same input for the same target. An input that breaks something is made as small as can be and
written down, see `running`.
"""

from .breach import Breach
from .codec_target import CodecTarget
from .running import Tally, fuzz
from .session_target import SessionTarget
from .target import Step, Target

__all__ = ["Breach", "CodecTarget", "SessionTarget", "Step", "Tally", "Target", "fuzz"]
