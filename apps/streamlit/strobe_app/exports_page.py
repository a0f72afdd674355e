"""The page Exports: write a report or a panel, see how far the jobs are, look at what was written, take it away."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import streamlit as st

from strobe import Workspace
from strobe.export.formats import FORMATS
from strobe.summaries.write import figures_of
from strobe_app import export_form, jobs_panel, sidebar

PICTURES, FILMS = ("png", "svg", "gif", "webp"), ("mp4",)
MOST_PREVIEW = 30 * 2**20
"""Bytes of a file that is still previewed."""
MOST = 50


def show(workspace: Workspace) -> None:
    """The page, on one workspace."""
    with st.sidebar:
        sidebar.sign(workspace)
    st.title("Exports", anchor=False)
    st.caption("A report, a section or a panel as a file. Jobs write them; what is written stands below.")
    with st.container(border=True, key="export form"):
        export_form.show(workspace)
    jobs_panel.show(workspace)
    _files(workspace.root / export_form.FOLDER)


def written(folder: Path) -> list[Path]:
    """Finished exports, latest first."""
    found = [f for f in folder.glob("*") if f.is_file() and not f.name.startswith(".") and f.suffix[1:] in FORMATS] if folder.is_dir() else []
    return sorted(found, key=lambda f: -f.stat().st_mtime)


def _files(folder: Path) -> None:
    files = written(folder)
    if not files:
        st.caption(f"Nothing has been exported to {folder} yet.")
        return
    st.subheader(f"Written: {len(files)}", anchor=False)
    for file in files[:MOST]:
        _file(file)
    if len(files) > MOST:
        st.caption(f"and {len(files) - MOST} more in {folder}")


def _file(file: Path) -> None:
    beside = figures(file)
    with st.container(border=True, key=f"export {file.name}"):
        name, look, take, remove = st.columns([6, 1.4, 1.4, 1.2], vertical_alignment="center")
        size = sum(f.stat().st_size for f in [file, *beside]) / 1e6
        more = f"  ·  with {len(beside)} figures" if beside else ""
        name.text(f"{file.name}  ·  {size:,.2f} MB{more}")  # as text: a name is no markup
        shown = look.toggle("Preview", key=f"preview {file.name}")
        taken = (lambda: zipped(file), f"{file.stem}.zip") if beside else (file.read_bytes, file.name)
        take.download_button("Download", *taken, key=f"download {file.name}", on_click="ignore")
        remove.button("Delete", key=f"delete {file.name}", on_click=_remove, args=(file,))
        if shown:
            _preview(file)


def figures(file: Path) -> list[Path]:
    """The pictures that a Markdown file shows: they lie in a folder beside it."""
    return sorted(f for f in figures_of(file).glob("*") if f.is_file()) if file.suffix == ".md" else []


def zipped(file: Path) -> bytes:
    """A Markdown file and its pictures as one zip file, in which the links between them hold."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as into:
        for each in [file, *figures(file)]:
            into.write(each, each.relative_to(file.parent))
    return archive.getvalue()


def _remove(file: Path) -> None:
    """Delete an export with its pictures; what cannot be deleted is said and stays."""
    try:
        for each in [*figures(file), file]:
            each.unlink(missing_ok=True)
        if file.suffix == ".md":
            shutil.rmtree(figures_of(file), ignore_errors=True)
    except OSError as e:
        st.error(f"{file} cannot be deleted: {e.strerror or e}")


def _preview(file: Path) -> None:
    suffix = file.suffix[1:]
    if file.stat().st_size > MOST_PREVIEW:
        st.caption("Too large to be shown here: download it.")
    elif suffix in PICTURES:
        st.image(str(file))
    elif suffix in FILMS:
        st.video(str(file), loop=True, autoplay=True, muted=True)
    elif suffix == "md":
        st.code(file.read_text("utf-8")[:20_000], language=None, wrap_lines=True)
    else:
        st.caption(f"A browser opens it: download it, or open {file}.")
