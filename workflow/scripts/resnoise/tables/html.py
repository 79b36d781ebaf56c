"""Tables as HTML: a fragment for the pages of this project, and a page for Snakemake's report."""

import markdown_it

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 1rem; color: #1a1f2b; background: #fff; }}
div {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }}
th, td {{ border: 1px solid #d7dbe4; padding: .3rem .6rem; text-align: left; vertical-align: top; }}
th {{ background: #f5f6f9; }}
p {{ max-width: 46rem; }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def fragment(markdown: str) -> str:
    """Convert Markdown with tables to HTML.

    HTML in the text is not allowed, because names of networks trained elsewhere may be in it.
    """
    parser = markdown_it.MarkdownIt("commonmark", {"html": False}).enable("table")
    return str(parser.render(markdown)).replace(" +- ", " \N{PLUS-MINUS SIGN} ")


def page(markdown: str) -> str:
    """Return a page of HTML that needs nothing else, titled by the first line of the Markdown."""
    body = fragment(markdown).replace("<table>", "<div><table>")
    title = fragment(markdown.partition("\n")[0].lstrip("# "))
    return _PAGE.format(
        title=title.removeprefix("<p>").removesuffix("</p>\n"),
        body=body.replace("</table>", "</table></div>"),
    )
