// Reads a CTRF report with the reference implementation: read.mjs FILE. It is a program of its
// own, since packages are looked for beside it: it is copied to where they are.
import { readFileSync } from 'node:fs'
import { validateStrict } from 'ctrf'

validateStrict(JSON.parse(readFileSync(process.argv[2], 'utf8')))
