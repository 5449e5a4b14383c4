"""What the open lexicon has of its own: words of today's comments, boosters, negations, idioms, emoticons and emoji.

Each is a judgement about how strangers write under videos, not others' ratings, so they are few; a word that VADER
rates stands here only where its everyday use is another one.
"""

from __future__ import annotations

WORDS = {
    4: "flawless masterpiece",
    3: "banger bangers epic goat goated iconic legendary unbeatable wholesome",
    2: "bop chills dope favourite favourites goosebumps legend legends lit nostalgia nostalgic refreshing slaps slay "
    "slayed underrated vibe vibes",
    1: "pretty fire",
    -2: "buggy clickbait delusional eww glitchy laggy mid overhyped overrated sketchy sus yikes",
    -3: "cringe cringey cringing cringy garbage junk overpriced ripoff rubbish shady trash trashy unwatchable yuck",
    -4: "scammed scammer scammers scamming",
}
"""By strength; 1 is neutral: `pretty` says how much, and `fire` is praise as often as it burns (see `IDIOMS`)."""

BOOSTERS = {
    1: "absolutely amazingly completely deeply definitely especially exceptionally flipping freaking fully genuinely "
    "greatly highly intensely particularly purely really remarkably seriously substantially super thoroughly total "
    "totally truly unbelievably utterly very",
    2: "extremely fucking fuckin hugely incredibly insanely overwhelmingly ridiculously tremendously",
    -1: "barely hardly kinda less little marginally occasionally partly scarcely slightly somewhat sorta",
}
"""By what they add to the next word."""

NEGATIONS = (
    "ain't aint aren't arent can't cannot cant couldn't couldnt didn't didnt doesn't doesnt don't dont hadn't hadnt "
    "hasn't hasnt haven't havent isn't isnt neither never no nobody none nor not nothing nowhere shouldn't shouldnt "
    "wasn't wasnt weren't werent without won't wont wouldn't wouldnt"
)

IDIOMS = {
    4: "chef's kiss",
    3: "absolute fire|can't wait|cant wait|damn good|hell yeah|hell yes|hits different|is fire|made my day|pure fire|"
    "so fire|straight fire|well done",
    2: "not bad|thumbs up",
    1: "dying laughing|i'm dead|im dead|i'm dying|im dying|no doubt|no problem|no worries",
    -2: "don't bother|nobody asked|no one asked|thumbs down",
    -3: "cash grab|rip off|ripped off|shut up|sick of|waste of money|waste of time|what a joke",
}
"""By strength of the whole; 1 makes it neutral whatever its words are."""

EMOTICONS = {
    1: "^^ ^_^ ^-^ ^.^ :)) :))) :)))) =)) :-))) ;-D ;D :DD :'D :,) <33 <333",
    -1: ":(( :((( ;( ;-( :,( T_T T.T ;_; ;-; -_- -.-",
}
"""By what they add to the word before."""

EMOJI = {
    "love": "😍 🥰 😻 🤩 💖 ❤‍🔥 🫶",
    "like": "❤ 🧡 💛 💚 💙 💜 🤎 🖤 🤍 🩷 🩵 🩶 ♥ ♡ ❣ 💕 💞 💓 💗 💘 💝 💟 💌 😘 😚 😙 😗 😽 💋 🤗 🫂 🫰 🤟 🌹 💐 "
    "👩‍❤‍👨 👨‍❤‍👨 👩‍❤‍👩 👩‍❤‍💋‍👨 👨‍❤‍💋‍👨 👩‍❤‍💋‍👩",
    "good": "👍 👌 🤌 👏 🙌 💯 🔥 💪 🙏 🤝 🤙 🤘 ✌ 🏆 🥇 👑 🐐 🎉 🎊 🥳 🫡 🎯 ❤‍🩹",
    "happy": "😀 😃 😄 😁 😆 😊 ☺ 🙂 😉 😇 😋 😌 😎 😝 😛 😜 🤪 😺 😸 🌞 🤠",
    "upset": "😢 😞 😔 😟 🙁 ☹ 😣 😖 😥 😰 😨 😧 😦 😿 💔",
    "annoying": "👎 😒 🙄 😑 😠 😕 🤦 🤥 🥱 😴 😾 🤡 💩 🧢 🚮",
    "disgusting": "😡 🤬 🤮 🤢 🖕 👿",
}
"""By the word that one of them counts as. They add up, so a row of hearts says more than a single one.

Left out is what says nothing of how an ad is liked: 😂 and 🤣 laugh with it and at it (the words around them are as
often negative as those of any comment), 😭, 💀 and 🥺 are as often overcome with joy as hurt, and 😱, 😮, 🤯, 😳, 😅
and 🤔 only take notice.
"""

NEUTRAL_EMOJI = "🐦‍🔥"
"""Listed because one that counts stands in it."""
