import sys
from pathlib import Path

# The synthetic books of tests/chapters serve here too.
sys.path.append(str(Path(__file__).parents[1] / "chapters"))
