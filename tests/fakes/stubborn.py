"""`python -m fakes.stubborn`: a child process that ignores SIGTERM, and has a child of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from handful_quickstart.process import exit_with_parent

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    exit_with_parent()
    print("ready", flush=True)
    time.sleep(600)
