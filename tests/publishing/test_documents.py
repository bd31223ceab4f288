from zoobench.publishing.documents import table, write


def test_a_table_is_markdown():
    assert table(["what", "rate"], [["ours", "2"], ["theirs", "1"]]) == (
        "| what | rate |\n| --- | --- |\n| ours | 2 |\n| theirs | 1 |"
    )


def test_only_what_is_between_the_marks_of_a_section_changes(tmp_path):
    path = tmp_path / "speed.md"
    path.write_text("# Speed\n\nBefore.\n\n<!-- a -->\nold\n<!-- /a -->\n\nAfter.\n\n<!-- b -->\nkept\n<!-- /b -->\n")
    write(path, "not used", ["new", "newer"], "a")
    assert path.read_text() == (
        "# Speed\n\nBefore.\n\n<!-- a -->\n\nnew\n\nnewer\n\n<!-- /a -->\n\nAfter.\n\n<!-- b -->\nkept\n<!-- /b -->\n"
    )


def test_a_section_that_is_not_there_comes_at_the_end(tmp_path):
    path = tmp_path / "speed.md"
    for section in ("a", "b"):
        write(path, "Speed", [f"of {section}"], section)
    assert path.read_text() == ("# Speed\n\n<!-- a -->\n\nof a\n\n<!-- /a -->\n\n<!-- b -->\n\nof b\n\n<!-- /b -->\n")
