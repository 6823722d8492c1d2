"""Hooks of the site's build (mkdocs.yml): pages load nothing from elsewhere."""

from __future__ import annotations

from typing import Any

# Material's offline search loads this script from the web; docs/worker_shim.js does its work.
_ADDRESS = "https://unpkg.com/iframe-worker/shim"


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Pages find the script beside themselves."""
    return output.replace(_ADDRESS, "../" * page.url.count("/") + "worker_shim.js")


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """The page for missing addresses is only seen on a server."""
    return output_content.replace(_ADDRESS, "/worker_shim.js")
