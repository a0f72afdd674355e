"""What people say about the chosen runs, and their deletion."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from strobe import StrobeError, Workspace
from strobe.runs import labels
from strobe.runs.run import Run


def describe(workspace: Workspace, runs: Sequence[str]) -> None:
    """Label and note of one run; tags and archive of any number."""
    if not runs:
        st.info("Choose runs in the table first.")
        return
    chosen = [workspace.run(name) for name in runs]
    said = [labels.label_of(run) for run in chosen]
    known = sorted({tag for run in workspace.runs() for tag in _tags(run)})
    key = " ".join(runs)
    with st.form(f"describe {key}", border=False):
        if len(chosen) == 1:
            label = st.text_input("Label", said[0].label, key=f"label {key}", help="a name for people; the run's own stays", width=480)
            note = st.text_area("Note", said[0].note, key=f"note {key}")
        else:
            st.caption(f"Label and note belong to one run; tags and the archive are those of all {len(chosen)}.")
        common = sorted(set.intersection(*(set(s.tags) for s in said)))
        tags = st.multiselect("Tags", known, common, accept_new_options=True, key=f"tags {key}", placeholder="type a word and press Enter")
        archived = st.checkbox("Archived: left out of listings", all(s.archived for s in said), key=f"archived {key}")
        if not st.form_submit_button("Save", key=f"save {key}"):
            return
    try:
        for run, before in zip(chosen, said, strict=True):
            single = {"label": label, "note": note} if len(chosen) == 1 else {}
            labels.relabel(run, tags=tuple((set(before.tags) - set(common)) | set(tags)), archived=archived, **single)
    except StrobeError as e:
        st.error(str(e))
        return
    st.rerun(scope="app")


def _tags(run: Run) -> tuple[str, ...]:
    try:
        return labels.label_of(run).tags
    except StrobeError:
        return ()


def delete(workspace: Workspace, runs: Sequence[str]) -> None:
    """List what goes, and ask."""
    if not runs:
        st.info("Choose runs in the table first.")
        return
    chosen = [workspace.run(name) for name in runs]
    parts = [{"run": run.name, **vars(part)} for run in chosen for part in labels.footprint(workspace, run)]
    frame = pd.DataFrame(parts, columns=["run", "what", "files", "bytes", "path"]).astype({"path": str})
    st.markdown(f"This deletes **{frame['files'].sum():,} files, {frame['bytes'].sum():,} bytes**, for good:")
    st.dataframe(
        frame, hide_index=True, height=min(38 + 35 * len(frame), 300), column_config={"bytes": st.column_config.NumberColumn(format="localized")}
    )
    key = " ".join(runs)
    if len(chosen) == 1:
        sure = st.text_input("Type the name of the run to confirm", key=f"sure {key}", placeholder=runs[0], width=480).strip() == runs[0]
    else:
        sure = st.checkbox(f"Yes, delete these {len(chosen)} runs: {', '.join(runs)}", key=f"sure {key}")
    if st.button("Delete", disabled=not sure, key=f"delete {key}", icon=":material/delete:", type="primary"):
        _delete(workspace, chosen)


def _delete(workspace: Workspace, chosen: Sequence[Run]) -> None:
    try:
        for run in chosen:
            labels.refuse_busy(workspace, run)
        for run in chosen:
            labels.delete(workspace, run)
    except StrobeError as e:
        st.error(str(e))
        return
    st.rerun(scope="app")
