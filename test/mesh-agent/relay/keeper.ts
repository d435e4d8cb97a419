/** A host that keeps a relay, for tests that kill it: its arguments are the options of keepRelay as JSON. */

import { keepRelay } from '@clawmesh/agent/relay'
import { stderrLog } from '@clawmesh/agent-sdk'

const options = JSON.parse(process.argv[2] ?? '{}')
const kept = keepRelay({ ...options, env: process.env, log: stderrLog })
// what is kept keeps no host running
setInterval(() => {}, 60_000)
const { pid } = await kept.serving
process.stdout.write(`${pid}\n`)
