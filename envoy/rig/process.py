"""A child process: started, and ended by its own id alone."""

import subprocess


def stop(process, patience=10):
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
