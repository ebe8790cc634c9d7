"""Word lists of the made-up catalog: category -> (styles, nouns); and adjectives for titles."""

ADJECTIVES = (
    "Alpine", "Amber", "Bold", "Breezy", "Classic", "Coastal", "Copper", "Cosy", "Dusky", "Everyday",
    "Feather", "Gentle", "Golden", "Harbour", "Indigo", "Ivory", "Lunar", "Maple", "Meadow", "Mellow",
    "Midnight", "Modern", "Nordic", "Olive", "Pebble", "Quiet", "Rustic", "Saffron", "Silver", "Urban",
    "Velvet", "Wild",
)  # fmt: skip

CATEGORIES: dict[str, tuple[str, ...]] = {
    "accessories": ("backpack", "belt", "handbag", "scarf", "watch"),
    "apparel": ("jacket", "shirt", "socks", "dress", "sweater"),
    "beauty": ("cleanser", "lipstick", "perfume", "lotion"),
    "books": ("novel", "cookbook", "travel guide", "atlas"),
    "electronics": ("camera", "headphones", "speaker", "tablet", "monitor"),
    "floral": ("bouquet", "wreath", "planter"),
    "footwear": ("boots", "sandals", "sneakers", "loafers"),
    "furniture": ("chair", "sofa", "desk", "shelf", "table"),
    "garden": ("hose", "rake", "lantern", "bench"),
    "groceries": ("coffee", "olive oil", "pasta", "tea", "honey"),
    "homedecor": ("candle", "cushion", "vase", "rug"),
    "housewares": ("bowl", "kettle", "mug", "pan", "knife"),
    "instruments": ("guitar", "keyboard", "ukulele", "drum"),
    "jewelry": ("bracelet", "earrings", "necklace", "ring"),
    "kids": ("puzzle", "plush bear", "blocks", "kite"),
    "outdoors": ("tent", "sleeping bag", "compass", "cooler"),
    "pets": ("leash", "pet bed", "treats"),
    "seasonal": ("ornament", "garland", "snow globe"),
    "sports": ("racket", "yoga mat", "dumbbell", "helmet"),
    "tools": ("drill", "hammer", "saw", "wrench"),
}
