"""Hash lists: files of many formats → rows, and rows → files. Pure, streaming.

    with open(path, "rb") as stream:
        for row in read_rows(stream, now=now):
            match row: HashRow … SkippedHash … InvalidRow …

One module per format (`delimited`, `plain`, `ncmec`, `stopncii`, `threatexchange`,
`tech_against_terrorism`, `project_vic`); `json_records` and `source` bound the memory, `values`
checks each hash. Duplicates inside a file, and which of two rows is the newer, are the caller's
business. Nothing is logged: the lists are secret.
"""
