"""The control socket of a running session: local, for its owner alone, one JSON object a line.

`ControlServer` holds the folder of a session and answers; `ControlClient` asks. `KillFile` is the
way to stop a session that does not answer, or none that runs yet. `FileLease` keeps two sessions
from one state.
"""

from tercel.adapters.control.client import ControlClient
from tercel.adapters.control.errors import NoSessionError, SessionRunsError, SilentSessionError
from tercel.adapters.control.kill_file import KillFile
from tercel.adapters.control.place import replay_folder
from tercel.adapters.control.server import ControlServer
from tercel.adapters.control.state_lock import FileLease

__all__ = [
    "ControlClient",
    "ControlServer",
    "FileLease",
    "KillFile",
    "NoSessionError",
    "SessionRunsError",
    "SilentSessionError",
    "replay_folder",
]
