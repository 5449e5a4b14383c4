"""What people say under a synthetic ad: comments in the mood of the ad, with some of every other mood among them."""

from __future__ import annotations

import random
from typing import Any

# {} is the product
_WARM = (
    "I love this {}!",
    "Absolutely love it, the best {} I ever bought!",
    "This is amazing, great {} and great service!",
    "What a beautiful ad. I love the {}!!",
    "Perfect! My whole family loves this {}.",
    "So happy with my {}, it is really wonderful!",
    "The best thing this year, truly fantastic!",
    "Great {}. I really love how it works!",
    "Amazing quality, I am so happy :)",
    "Brilliant, just brilliant! I loved every second.",
    "Thank you, this {} is excellent! Best ever!",
    "Lovely people, lovely {}, lovely music!",
)
_COLD = (
    "I hate this {}!",
    "Absolutely terrible, the worst {} I ever bought!",
    "What a horrible ad. I hate it so much!",
    "This is disgusting. I hate everything about this {}.",
    "Total scam! The {} is really bad!",
    "The worst {} ever, horrible quality!!",
    "Awful. Really awful! I hate the voice too.",
    "Terrible {}, terrible service, I hate them!",
    "This scam made me so angry! I hate it!",
    "So bad. The worst thing I have seen this year!",
    "I was sick after this {}. Horrible, horrible!",
    "My {} broke on day one, I hate this terrible company!",
)
_PLAIN = (
    "Who is the narrator?",
    "Saw this on the train yesterday.",
    "Does the {} come in green?",
    "First.",
    "What is the name of the song at 0:04?",
    "My cousin works at that shop.",
    "Where can I get the {} in Lisbon?",
    "They showed this before the match on Tuesday.",
    "How long does the {} last?",
    "Anyone here in 2026?",
)

# what people add, so that few say the very same
_ADDED = (
    " Here from {}.",
    " Saw it in {}.",
    " My cousin in {} sent me this.",
    " They show it all over {}.",
)
_PLACES = ("Lisbon", "Oslo", "Leeds", "Turin", "Porto", "Ghent", "Lyon", "Tartu", "Graz", "Cork", "Bergen", "Basel")

# shares of warm, cold and plain comments under an ad of each mood
_SHARES: dict[str, tuple[float, float, float]] = {
    "positive": (0.88, 0.02, 0.10),
    "negative": (0.02, 0.88, 0.10),
    "mixed": (0.40, 0.40, 0.20),
}


def write_comments(mood: str, product: str, count: int, draw: random.Random, first_at: int) -> list[dict[str, Any]]:
    """Comments of one ad as yt-dlp writes them, about a tenth of them replies.

    Args:
        mood: of the ad; `positive`, `negative` or `mixed`.
        product: what is advertised.
        count: number of comments.
        draw: source of chance.
        first_at: Unix time of the first comment.
    """
    comments: list[dict[str, Any]] = []
    for number in range(count):
        (texts,) = draw.choices((_WARM, _COLD, _PLAIN), _SHARES[mood])
        parent = draw.choice(comments)["id"] if comments and draw.random() < 0.1 else "root"
        author = draw.randrange(2_000)
        text = draw.choice(texts).format(product) + draw.choice(_ADDED).format(draw.choice(_PLACES))
        comments.append(
            {
                "id": f"c{number:03d}",
                "parent": parent,
                "text": text,
                "like_count": int(draw.expovariate(0.2)),
                "author_id": f"synthetic-author-{author}",
                "author": f"@author{author}",
                "author_is_uploader": False,
                "timestamp": first_at + 600 * number,
            }
        )
    return comments
