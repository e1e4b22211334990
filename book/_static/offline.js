// A page opened from a folder may not fetch its neighbors: search shows titles without excerpts.
if (window.location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
