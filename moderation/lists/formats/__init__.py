"""Read and write hash lists: files of many formats → rows, and rows → files. Pure and streaming.

    with open(path, "rb") as stream:
        for row in read_rows(stream, now=now):
            match row: HashRow … SkippedHash … InvalidRow …

There is one module per format (`delimited`, `plain`, `ncmec`, `stopncii`, `threatexchange`,
`tech_against_terrorism`, `project_vic`). `json_records` and `source` limit the memory used, and
`values` checks each hash. The caller handles duplicates within a file and decides which of two rows
is newer. Nothing is logged, because the lists are secret.
"""
