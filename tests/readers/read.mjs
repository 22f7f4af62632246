// Validates a CTRF report with the reference implementation: read.mjs FILE.
// Node.js looks for packages next to the script, so the test copies it to where they are.
import { readFileSync } from 'node:fs'
import { validateStrict } from 'ctrf'

validateStrict(JSON.parse(readFileSync(process.argv[2], 'utf8')))
