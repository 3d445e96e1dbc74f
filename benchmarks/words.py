"""Words: the names and the prose of generated pages, made of a small vocabulary."""

from __future__ import annotations

from functools import cache
from random import Random


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SHAPES = _words(
    "Adaptive Ambient Bounded Calm Coastal Composite Distant Drifting Durable Early Elastic Faint Filtered Floating "
    "Folded Frozen Gentle Granular Hidden Hollow Humid Inner Kinetic Latent Layered Linear Lucid Marginal Modular "
    "Narrow Nested Nordic Open Optical Outer Parallel Patient Polar Porous Quiet Radial Rapid Reduced Remote Salted "
    "Shallow Silent Sparse Steady Tidal Ærial Öffentliche"
)
MATTERS = _words(
    "Acid Alloy Amber Basalt Beacon Bridge Cable Canal Carbon Cargo Cedar Chalk Circuit Clay Cloud Cobalt Copper "
    "Coral Cotton Crystal Current Dune Ember Fabric Fibre Field Flint Forest Gravel Harbour Heather Iron Island "
    "Kelp Lattice Ledger Light Marble Meadow Mortar Nickel Orchard Pigment Plasma Pollen Quartz Resin River Silica "
    "Timber Übergang Ångström"
)
THINGS = _words(
    "Agent Array Assembly Basin Carrier Catalogue Channel Compass Converter Counter Cycle Depot Device Engine Exchange "
    "Filter Forecast Garden Gauge Grid Index Junction Kernel Lens Library Locker Loom Market Meter Mill Monitor Mould "
    "Network Observer Passage Pattern Planner Platform Press Protocol Recorder Reservoir Sampler Schedule Sensor "
    "Signal Station Survey Valve Vessel Workshop Modèle"
)
VERBS = _words(
    "absorbs arranges balances carries collects compares corrects counts covers delays divides feeds follows guides "
    "holds joins limits marks measures mixes moves names observes orders pairs protects records releases repairs "
    "replaces reports samples separates shapes sorts stores supports tests traces weighs"
)
LINKS = _words(
    "although because before beside between during except near through toward under unless until when where while "
    "without after against along"
)
PLAIN = _words(
    "answer border bottom centre change corner degree detail edge end example fault figure front group hour letter "
    "limit margin middle moment morning number office order pair part path piece place plan point question reason "
    "result row rule scale season section side size source space state step table term test time total town unit "
    "value view voice wall week winter yard year"
)
DOMAINS = ("ai", "bc", "rb", "mv", "tc", "dt")
POOL = 2_000
"""How many sentences there are: pages differ in their choice and order."""

STRIDE = 104_729
"""A prime, so that the names of neighbouring pages have nothing in common."""


def name_of(index: int) -> str:
    """Give the name of a concept; no two have the same."""
    total = len(SHAPES) * len(MATTERS) * len(THINGS)
    turn, place = divmod(index, total)
    rest, shape = divmod(place * STRIDE % total, len(SHAPES))
    thing, matter = divmod(rest, len(MATTERS))
    name = f"{SHAPES[shape]} {MATTERS[matter]} {THINGS[thing]}"
    return f"{name} {turn + 1}" if turn else name


def sentence(random: Random) -> str:
    """Make one sentence."""
    shape, matter, thing = random.choice(SHAPES).lower(), random.choice(MATTERS).lower(), random.choice(THINGS).lower()
    words = ["A", shape, matter, thing, random.choice(VERBS), "the", random.choice(PLAIN), "of", "each"]
    words += [random.choice(PLAIN), random.choice(LINKS), "its", random.choice(PLAIN), random.choice(VERBS)]
    words += random.choices(PLAIN, k=random.randrange(2, 12))
    return f"{' '.join(words)}."


@cache
def sentences() -> tuple[str, ...]:
    """Give the sentences of which all prose is made."""
    random = Random(POOL)  # noqa: S311 - pages are no secrets
    return tuple(sentence(random) for _ in range(POOL))
