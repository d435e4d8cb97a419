/** Gateways as processes of the engine's machine, one alone and two behind HAProxy, with the files of the sidecar stack. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitFor } from '../../support/wait-for.ts'
import type { Stack } from '../compose/stack.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** Built, as an operator has it. */
const COMMAND = join(ROOT, 'mesh-gateway/bin/mesh-gateway.cjs')
export const ALONE = '127.0.0.5'
export const PROXY = '127.0.0.4'
const BEHIND = { 'gw-1': '127.0.0.2', 'gw-2': '127.0.0.3' } as const
const HANG = { withinMs: 120_000 }

/** Ended with the engine. */
export async function startGateways(stack: Stack): Promise<void> {
  await startGateway(stack, ALONE, {})
  const proxyProtocol = { from: [`${PROXY}/32`, '127.0.0.1/32'] }
  for (const address of Object.values(BEHIND))
    await startGateway(stack, address, { proxyProtocol, health: { listen: `${address}:9091` } })
  let text = await readFile(join(ROOT, 'deploy/proxies/haproxy.cfg'), 'utf8')
  for (const [from, to] of [
    ['10.20.0.11', BEHIND['gw-1']],
    ['10.20.0.12', BEHIND['gw-2']],
    ['bind :', `bind ${PROXY}:`],
  ] as const)
    text = text.replaceAll(from, to)
  const file = join(stack.dir, 'haproxy.cfg')
  await writeFile(file, text)
  await serve(stack, '/usr/sbin/haproxy', '-f', file)
}

async function startGateway(
  stack: Stack,
  address: string,
  { proxyProtocol, health }: { readonly proxyProtocol?: object; readonly health?: object },
): Promise<void> {
  const dir = join(stack.dir, `at-${address}`)
  await mkdir(dir)
  const shared = JSON.parse(await readFile(join(stack.dir, 'gateway/gateway.json'), 'utf8'))
  const port = proxyProtocol === undefined ? {} : { proxyProtocol }
  const identity = { dir: join(stack.dir, 'gateway/identity') }
  const config = {
    ...{ trustDomain: shared.trustDomain, identity },
    policy: { dir: join(stack.dir, 'gateway/policy') },
    keys: { dir: join(stack.dir, 'keys-of-processes') },
    audit: { file: join(dir, 'audit.jsonl') },
    egress: { ...port, listen: `${address}:8080`, tls: identity },
    delegation: { ...port, listen: `${address}:8443`, peers: shared.delegation.peers },
    admin: { listen: `${address}:9090` },
    ...(health === undefined ? {} : { health }),
  }
  const file = join(dir, 'gateway.json')
  await writeFile(file, JSON.stringify(config))
  await serve(stack, process.execPath, COMMAND, 'start', '--config', file)
  await waitFor(
    `the gateway at ${address}`,
    async () => {
      const ready = ['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}']
      const asked = stack.engine.outside(...ready, `http://${address}:9090/ready`)
      return (await asked.catch(() => '')) === '200'
    },
    HANG,
  )
}

async function serve(stack: Stack, ...command: readonly string[]): Promise<void> {
  const log = join(stack.dir, 'processes.log')
  const script = 'echo started; log=$1; shift; exec "$@" >>"$log" 2>&1'
  await stack.engine.serveOutside('sh', '-c', script, 'sh', log, ...command)
}

/** A token that all of these gateways take. */
export async function tokenOfGateways(stack: Stack): Promise<string> {
  const file = join(stack.dir, `at-${ALONE}`, 'gateway.json')
  const args = [COMMAND, 'issue-token', '--config', file, '--agent-id', 'bot-01', '--ttl', '1h']
  return (await stack.engine.outside(process.execPath, ...args)).trim()
}
