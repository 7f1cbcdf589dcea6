"""`python -m fakes.stubborn`: a guarded process that does not heed SIGTERM, nor does its child."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from handful_trainer.quickstart.guarded import end_with_starter

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    end_with_starter()
    print("ready", flush=True)
    time.sleep(600)
