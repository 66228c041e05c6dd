import subprocess
import sys
import time

from recbole_samrec.utils.cpu_time import read_cpu_seconds

WORK = "import time\nwhile time.process_time() < 0.5: pass"


def test_read_cpu_seconds__counts_this_process_but_no_waiting():
    before = read_cpu_seconds()
    time.sleep(0.3)
    assert read_cpu_seconds() - before < 0.2
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    assert read_cpu_seconds() - before >= 0.2


def test_read_cpu_seconds__counts_children_that_have_ended():
    before = read_cpu_seconds()
    subprocess.run([sys.executable, "-c", WORK], check=True)
    assert read_cpu_seconds() - before >= 0.45
