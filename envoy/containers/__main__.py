import sys

from containers import images

try:
    images.make_ready()
except images.Missing as missing:
    sys.exit(str(missing))
