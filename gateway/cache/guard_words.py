"""The English words that turn a question into another one, by the kind of difference they make.

To be read as: a question that has one of these and a question that lacks it are two questions. Words stand here in
lower case; what is shortened ("don't", "what's") is written out before it is looked up.
"""

from collections.abc import Iterator, Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _pairs(text: str) -> dict[str, str]:
    """`word:what it stands for`, many of them."""
    return dict(pair.split(":") for pair in text.split())


NUMBERS: Mapping[str, str] = _pairs("""
    zero:0 one:1 two:2 three:3 four:4 five:5 six:6 seven:7 eight:8 nine:9 ten:10 eleven:11 twelve:12 thirteen:13
    fourteen:14 fifteen:15 sixteen:16 seventeen:17 eighteen:18 nineteen:19 twenty:20 thirty:30 forty:40 fifty:50
    sixty:60 seventy:70 eighty:80 ninety:90 hundred:100 hundreds:100 thousand:1000 thousands:1000 million:10^6
    millions:10^6 billion:10^9 billions:10^9 trillion:10^12 dozen:12 dozens:12 pair:2 couple:2 both:2 single:1
    second:2nd third:3rd fourth:4th fifth:5th sixth:6th seventh:7th eighth:8th ninth:9th tenth:10th half:1/2
    quarter:1/4 once:1x twice:2x double:2x thrice:3x triple:3x
""")
"""Spelled out → in digits. "first" orders more often than it counts and is in `ORDER`."""

NEGATION = _words("""
    not no nor neither none nothing nobody nowhere never without hardly barely scarcely rarely seldom cannot unless
    except excluding instead lack lacks lacking fail fails failed failing avoid avoids avoiding refuse refuses stop
    stops stopped stopping prevent prevents preventing forbid forbidden ban banned false wrong absent missing free minus
    rather besides dont doesnt didnt cant wont isnt arent aint wasnt werent hasnt havent hadnt shouldnt wouldnt couldnt
    mustnt neednt
""")
NEGATING = ("un", "non", "dis", "mis", "anti", "counter", "de", "il", "im", "in", "ir", "ex", "over", "under", "hyper")
"""Beginnings that may negate or turn the rest of a word. Many words merely look so ("increase", "under"): these must be
equal too, and it costs a hit."""
NEGATING_ENDS = ("less", "free", "proof")

ORDER = _words("""
    more less fewer most least much many few little enough too than better worse best worst bigger smaller larger
    greater higher lower longer shorter older newer younger faster slower cheaper before after first last next previous
    prior earlier later latest newest oldest since until till above below over under between within beyond up down left
    right top bottom front back inside outside minimum maximum min max ascending descending upper early late soon ahead
    behind north south east west
""")
ORDER_ENDS = ("er", "est")
"""Of any longer word: "warmest", and "computer" as well."""

LOGIC = _words("""
    or and but if only just all every each any some both either whole entire other another else same different again
    already yet still even almost nearly exactly about per versus vs from into onto against for by off out away through
    during despite because with in on at as while whether among upon like unlike
""")
MODE = _words("""
    should must may might would need needs needed ought shall allowed required able want wants wanted was were did had
    been will going used become became happened
""")
"""What is asked of: what is, was, will, may or must be."""
ASKED = _words("who whom whose what which when where why how long often far old")

PERSONS: Mapping[str, str] = _pairs("""
    i:i me:i my:i mine:i myself:i we:we us:we our:we ours:we ourselves:we you:you your:you yours:you yourself:you
    he:he him:he his:he himself:he she:she her:she hers:she herself:she they:they them:they their:they theirs:they
""")

CALENDAR = _words("""
    now today tomorrow yesterday tonight currently ago day night morning noon afternoon evening midnight week weekend
    month year decade century hour minute moment spring summer autumn fall winter daily weekly monthly yearly annual
    annually hourly monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun january
    february march april june july august september october november december jan feb mar apr jun jul aug sep sept oct
    nov dec christmas easter recent recently utc gmt bc ad
""")
UNITS = _words("""
    m km cm mm nm mi ft yd mile meter metre kilometer kilometre centimeter centimetre millimeter millimetre foot feet
    inch inches yard kg g mg lb lbs oz t ton tonne gram kilogram milligram pound ounce stone l ml cl liter litre
    milliliter millilitre gallon pint quart cup tablespoon teaspoon tbsp tsp s ms h hr hrs mins secs seconds millisecond
    c f k celsius fahrenheit kelvin degree percent percentage kb mb gb tb kib mib gib byte bit hz khz mhz ghz w kw mw
    kwh watt volt v amp j kj cal kcal calorie pa bar psi mph kmh knot acre hectare usd eur gbp jpy chf cad aud inr cny
    dollar euro yen yuan rupee franc cent pence bitcoin btc eth
""")

_OPPOSED = _words("""
    enable disable allow deny open close start begin stop end finish increase decrease raise reduce grow shrink gain
    lose win buy sell rent lend borrow import export include exclude add remove delete create destroy install uninstall
    encrypt decrypt encode decode upload download send receive push pull login logout connect accept reject approve pass
    cause cure help harm hurt read write live die love hate dislike agree attack defend show hide lock unlock load save
    spend earn give take bring leave arrive enter exit join quit drop hire fire marry divorce wake sleep forget remember
    learn teach ask answer follow lead multiply divide turn break fix repair cancel renew merge split copy move sign
    charge refund pay owe freeze melt heat cool
""")
_IRREGULAR = _pairs("""
    bought:buy sold:sell lent:lend sent:send won:win lost:lose spent:spend gave:give given:give took:take taken:take
    left:leave broke:break broken:break froze:freeze frozen:freeze paid:pay began:begin begun:begin hid:hide
    hidden:hide grew:grow grown:grow shrank:shrink shrunk:shrink brought:bring taught:teach forgot:forget
    forgotten:forget wrote:write written:write dying:die led:lead slept:sleep woke:wake
""")
_OPPOSITE = _words("""
    true yes hot cold warm good bad safe dangerous harmful harmless healthy toxic legal illegal possible male female man
    woman men women boy girl mother father son daughter brother sister husband wife parent child children adult public
    private internal external domestic foreign input output client server source destination sender receiver employer
    employee tenant landlord student doctor patient alive dead born old new young big small large long short tall wide
    narrow deep shallow high low fast slow rich poor strong weak easy hard simple complex light heavy dark bright wet
    dry full empty hungry lossy lossless sync async positive negative odd even plus inner cheap expensive vertical
    horizontal singular plural ancient modern
""")


def _inflected(verbs: frozenset[str]) -> Iterator[tuple[str, str]]:
    for verb in sorted(verbs):
        stem, doubled = verb.removesuffix("e"), verb + verb[-1]
        forms = (verb, verb + "s", verb + "es", stem + "ed", stem + "ing", doubled + "ed", doubled + "ing")
        yield from ((form, verb) for form in forms)


OPPOSITES: Mapping[str, str] = {**{word: word for word in _OPPOSITE}, **dict(_inflected(_OPPOSED)), **_IRREGULAR}
"""Words that have an opposite, or others that are commonly put in their place; verbs by their first form."""

PLAIN = _words("""
    a an the is are be do does can could to of it its this that these those there here please kindly tell
    explain describe list give show find write hi hello hey thanks thank so then also well ok okay let have has having
    being doing get gets getting got way know knows mean means meaning work works
""")
"""Words that say what language this is; those that stand nowhere above may come and go."""
POLITE = (
    r"(?:(?:hi|hello|hey)\b[ ,!.]*)?(?:(?:please|kindly)\b[ ,]*)?"
    r"(?:(?:(?:can|could|would|will) you|i(?: would|'d)? (?:want|like|need) you to)\b[ ,]*)?"
    r"(?:(?:please|kindly)\b[ ,]*)?(?:(?:tell|show) me\b(?: about)?[ ,:]*|do you know\b[ ,:]*"
    r"|i(?: would|'d)? (?:want|like|need|love) to know\b[ ,:]*|i (?:wonder|was wondering)\b[ ,:]*)?"
)
"""How a question may begin without becoming another one."""
OPENERS = _words("summarize summarise compare calculate compute translate convert define name")
"""What else a question begins with; capitals there make no name."""

ENGLISH = PLAIN | NEGATION | LOGIC | MODE | ASKED | PERSONS.keys() | _words("than before after more")
FOREIGN = _words("""
    der das und ist nicht ein eine ich wie warum wer wo mit für auf le les des est que pas je une pour dans qui du quoi
    el los las es una por para como qué cómo il lo gli di che sono perché het een niet ik hoe wat waar van och är inte
    jag hur vad det på os um uma não é nie jest czy jak ve bir
""")
"""Of languages written in Latin letters some of the commonest words, as far as English has none of that spelling."""
