"""Names that several programs must agree on."""

import numpy as np
from recstack_triton_templates.event_keys import EventKeys
from recstack_triton_templates.trending_keys import TrendingKeys


def test_names_are_of_one_stack_and_one_user() -> None:
    keys = EventKeys("shop/retail")
    assert keys.recent(-3) == "recstack:recent:{shop/retail/-3}"
    assert keys.stream() != EventKeys("shop/films").stream()
    assert TrendingKeys("shop/retail").everywhere() == "recstack:trending:{shop/retail}:global"


def test_a_value_has_one_name_whatever_its_type() -> None:
    keys = TrendingKeys("shop/retail")
    same = {keys.among("category", value) for value in (3, 3.0, np.int64(3), np.float32(3), "3")}
    assert same == {"recstack:trending:{shop/retail}:category=3"}
    assert keys.among("category", np.str_("Schuhe & Söckchen")).endswith(":category=Schuhe & Söckchen")
