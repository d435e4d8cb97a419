/**
 * Backup and restore for 1,000 agents: `node test/deploy/backup/figures.ts [AGENTS]` prints what they take. Each agent has
 * a certificate of a day, a service account, a revocation and a file of policy for its tenant of ten.
 */
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { initCa, openCa, revoke, writeIdentity } from '@clawmesh/pki'
import { Secret } from '@clawmesh/proto'
import { run } from '../../pki/run.ts'
import { meshGateway, meshPki } from './commands.ts'

export interface Figure {
  readonly of: string
  readonly createMs: number
  readonly restoreMs: number
  readonly archiveBytes: number
}

export async function measure(agents: number): Promise<readonly Figure[]> {
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-figures-'))
  try {
    await writeFile(join(dir, 'pass'), 'a passphrase of the archive\n')
    await makeState(dir, agents)
    return [
      await timed(dir, 'CA', meshPki, ['--dir', 'ca']),
      await timed(dir, 'gateway', meshGateway, ['--config', 'gateway.json']),
    ]
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function timed(
  cwd: string,
  of: string,
  command: readonly string[],
  source: readonly string[],
): Promise<Figure> {
  const pass = ['--passphrase-file', 'pass']
  const execute = async (...args: string[]) => {
    const from = performance.now()
    const { code, stderr } = await run(process.execPath, [...command, 'backup', ...args, ...pass], {
      cwd,
    })
    if (code !== 0) throw new Error(stderr)
    return Math.round(performance.now() - from)
  }
  const createMs = await execute('create', ...source, '--out', `${of}.age`)
  const restoreMs = await execute('restore', `${of}.age`, '--dir', `restored-${of}`)
  const { size } = await stat(join(cwd, `${of}.age`))
  return { of, createMs, restoreMs, archiveBytes: size }
}

async function makeState(dir: string, agents: number): Promise<void> {
  const passphrase = new Secret('a passphrase of the CA')
  const ca = { dir: join(dir, 'ca'), passphrase }
  await initCa({ ...ca, trustDomain: 'mesh.internal', keyIterations: 1_000 })
  const open = await openCa(ca)
  const tenants = Math.ceil(agents / 10)
  await writeIdentity(join(dir, 'identity'), open.issueGateway({ name: 'gw', tenants: ['t0'] }))
  await mkdir(join(dir, 'policy'))
  for (let tenant = 0; tenant < tenants; tenant += 1)
    await writeFile(
      join(dir, 'policy', `t${tenant}.json`),
      JSON.stringify({ tenant: `t${tenant}`, egress: { allow: ['api.example.com'] } }),
    )
  const accounts = []
  const entries = []
  for (let agent = 0; agent < agents; agent += 1) {
    const tenant = `t${Math.floor(agent / 10)}`
    const { spiffeId } = open.issueAgent({ tenant, agent: `a${agent}` })
    if (agent % 10 === 0) await revoke({ dir: ca.dir, target: { spiffeId } })
    const id = agent.toString(16).padStart(16, '0')
    const created = new Date().toISOString()
    const hash = id.repeat(4)
    accounts.push({
      id,
      tenant,
      agent: `a${agent}`,
      destinations: null,
      hash,
      created,
      revoked: null,
    })
    entries.push({
      kind: 'token',
      value: `jti-${agent}`,
      reason: null,
      since: created,
      until: null,
    })
  }
  await writeFile(join(dir, 'accounts.json'), JSON.stringify({ accounts }))
  await writeFile(join(dir, 'revoked.json'), JSON.stringify({ revoked: entries }, null, 1))
  await writeFile(
    join(dir, 'gateway.json'),
    JSON.stringify({
      trustDomain: 'mesh.internal',
      identity: { dir: 'identity' },
      policy: { dir: 'policy' },
      keys: { dir: 'keys' },
      serviceAccounts: { file: 'accounts.json' },
      revocation: { list: 'revoked.json' },
    }),
  )
  const issued = await run(
    process.execPath,
    [
      ...meshGateway,
      'issue-token',
      '--config',
      'gateway.json',
      '--tenant',
      't0',
      '--agent-id',
      'a0',
    ],
    { cwd: dir },
  )
  if (issued.code !== 0) throw new Error(issued.stderr)
}

if (import.meta.main)
  for (const { of, createMs, restoreMs, archiveBytes } of await measure(
    Number(process.argv[2] ?? 1_000),
  ))
    process.stdout.write(
      `${of}: backup ${createMs} ms, restore ${restoreMs} ms, ${Math.round(archiveBytes / 1024)} KiB\n`,
    )
