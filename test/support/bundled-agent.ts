/**
 * What a host would bundle: an agent that serves and fetches, and another that delegates to it. Run as one file, which
 * is removed before anything is done. Prints the port of the first agent, waits for a line, then prints the result.
 */
import { rmSync } from 'node:fs'
import { createAgent } from '@clawmesh/agent-sdk'

const [, file = '', gateway = '', egress = '', planner = '', researcher = '', url = ''] =
  process.argv

async function main(): Promise<void> {
  rmSync(file)
  const serves = await createAgent({ gateway, egress, identity: researcher })
  const read = async (_: unknown, ctx: { fetch: typeof fetch }) => (await ctx.fetch(url)).text()
  const { address } = await serves.serve({ listen: '127.0.0.1:0', skills: { read } })
  process.stdout.write(`${address.port}\n`)
  await new Promise((resolve) => process.stdin.once('data', resolve))
  const delegates = await createAgent({ gateway, identity: planner })
  const result = await delegates.delegate('researcher', { skill: 'read' }).result()
  process.stdout.write(`${result.text()}\n`)
  await delegates.close()
  await serves.close()
  process.stdin.destroy()
}

void main()
