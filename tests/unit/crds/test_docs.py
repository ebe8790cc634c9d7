from pathlib import Path

import pytest
from recstack_crds.docs import BEGIN, END, PAGES, main, page


def test_every_field_has_a_row_with_its_path() -> None:
    text = page(f"a\n{BEGIN}\nSTALE\n{END}\nz", PAGES["recommenderstack.md"])
    assert "| `spec.serving.topK` | `100` | Most items a reply can hold. |" in text
    assert "`spec.features.user[].ops[].op` | required" in text
    assert "STALE" not in text
    assert text.startswith("a\n")
    assert text.endswith("\nz")


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        page("nothing", PAGES["modelversion.md"])


def test_check_finds_a_stale_page(tmp_path: Path) -> None:
    for name in PAGES:
        (tmp_path / name).write_text(f"{BEGIN}\n{END}")
    assert main(["--check", str(tmp_path)]) == 1
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
