/** What this file does when node runs it by itself: the egress relay, a process that outlives reloads and ends with OpenClaw. */
import { parseArgs } from 'node:util'
import { runRelay } from '@clawmesh/agent/relay'
import { type Log, stderrLog } from '@clawmesh/agent-sdk'

const TEXT = { type: 'string', default: '' } as const
const DRAIN_MS = 10_000

/** @param args as `mesh-agent relay` takes them from `keepRelay` */
export async function runAsRelay(args: readonly string[], log: Log = stderrLog): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ identity: TEXT, gateway: TEXT, egress: TEXT, listen: TEXT, 'secret-file': TEXT },
      ...{ 'until-stdin-ends': { type: 'boolean' }, json: { type: 'boolean' } },
    },
  })
  const { identity, gateway, egress, listen } = values
  const over = new AbortController()
  const end = () => over.abort()
  process.stdin.once('end', end).once('close', end).once('error', end).resume()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, end)
  try {
    await runRelay({
      ...{ identity, gateway, egress, listen, secretFile: values['secret-file'], log },
      ...{ allowOtherMachines: false, standBy: true, signal: over.signal, drainMs: DRAIN_MS },
      onEvent: (event) => process.stdout.write(`${JSON.stringify(event)}\n`),
    })
  } catch (error) {
    log.error({}, error instanceof Error ? error.message : String(error))
    process.exitCode = 1
  } finally {
    process.stdin.pause()
  }
}
