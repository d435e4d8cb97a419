/**
 * Runs mocha for one part in the namespaces that run-part.ts has made for it: run-inside.ts RESULT SETTLE-MS MOCHA-ARGUMENT...
 * Writes to RESULT what is left of the part SETTLE-MS after mocha has ended.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { insideOfPart, leftSince } from './leftovers.ts'

const MOCHA = fileURLToPath(new URL('../../node_modules/mocha/bin/mocha.js', import.meta.url))
/** The shell that collects the processes which lost their parents, and this one. */
const OWN_PIDS: ReadonlySet<number> = new Set([1, process.pid])

const [result = '', settleMs = '', ...args] = process.argv.slice(2)
const before = insideOfPart(OWN_PIDS)
const mocha = spawn(process.execPath, [MOCHA, ...args], { stdio: 'inherit' })
const [code] = await once(mocha, 'exit')
const left = await leftSince(before, () => insideOfPart(OWN_PIDS), Number(settleMs))
writeFileSync(result, JSON.stringify(left))
process.exitCode = code ?? 1
