import pytest
from markdown_it import MarkdownIt

from zoobench.publishing.markdown import address, code, item, text

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = [
    "</table><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a | b | c",
    "```\nbegin\n```",
    "`",
    "``a``",
    "one\n\n# two",
    "\n---\nlicense: mit\n---\n",
    "---",
    "# big",
    "1. first",
    "12) twelfth",
    "- item",
    "=====",
    "> quoted",
    "[a link](javascript:alert(1))",
    "![a picture](https://example.org/x.png)",
    "[ref]: https://example.org",
    "[ref][ref]",
    "*bold* _slanted_ ~~gone~~ __b__",
    "\\",
    "\\`<b>`",
    "$x$ and $$y$$",
    "&lt;b&gt; &#60;",
    "\x1b[31mred\x07",
    "\u202eright to left",
    "{{ 7 * 7 }} {% raw %}",
    "    indented",
]


def words(tokens):
    """All that a reader sees as text."""
    return "".join(
        child.content for token in tokens for child in token.children or () if child.type in ("text", "code_inline")
    )


def kinds(tokens):
    """The structure of a text: blocks, and what is inside of them but for plain text."""
    inside = [[child.type for child in token.children or () if child.type != "text"] for token in tokens]
    return [token.type for token in tokens], inside


def visible(foreign):
    """What must be seen: spaces at the ends do not matter, control characters are spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in foreign).strip()


@pytest.mark.parametrize("foreign", HOSTILE)
def test_a_text_is_seen_as_it_is(foreign):
    tokens = MARKDOWN.parse(f"before {text(foreign)} after")
    assert kinds(tokens) == (["paragraph_open", "inline", "paragraph_close"], [[], [], []])
    assert words(tokens) == f"before {visible(foreign)} after"


@pytest.mark.parametrize("foreign", HOSTILE)
def test_an_entry_of_a_list_is_seen_as_it_is(foreign):
    tokens = MARKDOWN.parse(f"- {item(foreign)}\n")
    assert kinds(tokens) == kinds(MARKDOWN.parse("- plain\n"))
    assert words(tokens) == visible(foreign)


@pytest.mark.parametrize("foreign", HOSTILE)
def test_code_is_seen_as_it_is(foreign):
    tokens = MARKDOWN.parse(f"| a | b |\n|---|---|\n| {code(foreign)} | x |\n")
    assert kinds(tokens) == kinds(MARKDOWN.parse("| a | b |\n|---|---|\n| `plain` | x |\n"))
    assert words(tokens).removeprefix("ab").removesuffix("x").strip() == visible(foreign)


@pytest.mark.parametrize("foreign", HOSTILE)
def test_an_address_is_one(foreign):
    tokens = MARKDOWN.parse(f"![picture]({address('pictures/' + foreign)})")
    assert kinds(tokens)[1] == [[], ["image"], []]


def test_plain_texts_and_simple_code_stay_as_they_are():
    for plain in (
        "`train_accuracy` is the running accuracy.",
        "scale in [0, 1], of f1_class_0",
        "2.13.0+cpu",
        "(a) b.",
    ):
        assert text(plain) == item(plain) == plain
    assert words(MARKDOWN.parse(text("`run_id` of `a/b.pt`"))) == "run_id of a/b.pt"
    assert code("seed") == "`seed`"
