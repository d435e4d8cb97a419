/** deploy/compose as its guide sets it up, on one engine, with an outside that its tests know. */
import { execFile } from 'node:child_process'
import { chown, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { builtImage, REFERENCE } from '../../support/containers/built-image.ts'
import {
  type Engine,
  type EngineName,
  hardLimit,
  startEngine,
} from '../../support/containers/engine.ts'
import { waitFor } from '../../support/wait-for.ts'
import { curlVolumes } from './agent-program.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const USER = 65532
/** Of the outside: a documentation range, which no network has (RFC 5737). */
export const OUTSIDE = '203.0.113.7'
export const GATEWAY = '172.31.250.2'
export const BRIDGE = '172.31.250.1'
const PROJECT = 'mesh'
const PASSPHRASE = 'a passphrase of this test'
/** Only a hang takes longer, on a machine that has much else to do too. */
export const HANG = { withinMs: 180_000 }
/** As the first process of a container Node would ignore the signal to end. */
const SLEEPING = ['-e', "process.on('SIGTERM', process.exit); setInterval(() => {}, 1000)"]

export interface Stack {
  readonly engine: Engine
  readonly dir: string
  /** The questions that the resolver of the machine has heard. */
  asked(): readonly string[]
  compose(...args: readonly string[]): Promise<string>
  /** The id of the container of a service. */
  id(service: string): Promise<string>
  /** The process of a service. */
  pid(service: string): Promise<number>
  /** The address of a container in a network. */
  address(container: string, network: string): Promise<string>
  /** Runs Node in a container, with a module and an argument, and parses what it prints. */
  inside(container: string, script: URL, argument?: unknown): Promise<unknown>
  /** Resolves when the gateway is ready, with its process and how long that took. */
  ready(other?: number): Promise<{ readonly pid: number; readonly ms: number }>
  /** Lines of the gateway that are audit records. */
  audit(): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** Default: of bot-01. */
  token(agent?: string): Promise<string>
  /** For a shell in `dir`, in which the commands of the guides are typed. */
  shellEnv(): Promise<Readonly<Record<string, string | undefined>>>
  close(): Promise<void>
}

export async function startStack(name: EngineName): Promise<Stack> {
  const dir = await mkdtemp(join(tmpdir(), 'cs-'))
  const { archive } = await builtImage()
  const engine = await startEngine(name, {
    env: environment(name),
    // as with systemd-resolved; podman gives its containers other servers than those on loopback
    resolvConf: `nameserver ${name === 'docker' ? '127.0.0.1' : OUTSIDE}\n`,
  })
  try {
    await Promise.all([engine.client('load', '-i', archive), setUpFiles(dir)])
    await engine.outside('ip', 'address', 'add', `${OUTSIDE}/32`, 'dev', 'lo')
    const outside = await engine.serveOutside(
      process.execPath,
      join(ROOT, 'test/deploy/compose/outside.ts'),
      OUTSIDE,
    )
    const stack = new RunningStack(engine, dir, () => outside.lines())
    if (name === 'podman')
      await engine.client(
        ...['network', 'create', '--internal', '--subnet', '172.31.250.0/29', 'clawmesh-agents'],
      )
    await stack.compose('up', '--no-start')
    const volumes = ['--volumes-from', await stack.id('gateway')]
    await engine.client('run', '--rm', ...volumes, REFERENCE, 'revoke', '--new')
    await stack.compose('up', '-d')
    return stack
  } catch (error) {
    await engine.close()
    await rm(dir, { recursive: true, force: true })
    throw error
  }
}

/** As docs/guides/deploy-containers.md says it. */
async function setUpFiles(dir: string): Promise<void> {
  await cp(join(ROOT, 'deploy/compose'), dir, { recursive: true })
  const env = { ...process.env, MESH_PKI_PASSPHRASE: PASSPHRASE }
  const pki = (...args: readonly string[]) =>
    promisify(execFile)(process.execPath, [join(ROOT, 'pki/bin/mesh-pki.cjs'), ...args], {
      cwd: dir,
      env,
    })
  await pki('init', '--trust-domain', 'mesh.internal')
  await pki(
    'issue',
    'gateway',
    '--name',
    'gateway',
    '--tenant',
    'acme',
    '--out',
    'gateway/identity',
  )
  await pki('issue', 'agent', '--tenant', 'acme', '--agent', 'bot-01', '--out', 'agent')
  for (const identity of ['gateway/identity', 'agent']) await giveTo(join(dir, identity), USER)
  await allowOutside(dir)
  await writeFile(
    join(dir, 'gateway/policy/_global.json'),
    JSON.stringify({ egress: { allowCidrs: [`${OUTSIDE}/32`], ports: [80, 81, 443] } }),
  )
  await mkdir(join(dir, 'test'))
  const services = {
    agent: { entrypoint: '/usr/bin/node', command: SLEEPING, volumes: curlVolumes() },
    // podman would raise it, which root may not do everywhere
    gateway: { ulimits: { nproc: hardLimit('processes') } },
  }
  await writeFile(join(dir, 'test/agent.json'), JSON.stringify({ services }))
}

/** The outside of the tests, beside what the file of deploy/compose allows. */
export async function allowOutside(dir: string): Promise<void> {
  const policy = JSON.parse(
    await readFile(join(ROOT, 'deploy/compose/gateway/policy/acme.json'), 'utf8'),
  )
  policy.egress.allow.push('outside.test:80', 'outside.test:81', 'crowd.test:80')
  policy.egress.limits = {}
  await writeFile(join(dir, 'gateway/policy/acme.json'), JSON.stringify(policy))
}

/** Where root may not raise the limit of open files, the stack takes what there is. */
function environment(name: EngineName): Readonly<Record<string, string>> {
  const files = Math.min(65_535, hardLimit('open files'))
  return {
    AGENT_IMAGE: REFERENCE,
    CLAWMESH_NOFILE: String(files),
    COMPOSE_FILE: `compose.yaml:compose.${name}.yaml:test/agent.json`,
  }
}

async function giveTo(dir: string, user: number): Promise<void> {
  await chown(dir, user, user)
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) await giveTo(join(dir, entry.name), user)
    else if (entry.isFile()) await chown(join(dir, entry.name), user, user)
  }
}

class RunningStack implements Stack {
  readonly engine: Engine
  readonly dir: string
  readonly #outside: () => string[]

  constructor(engine: Engine, dir: string, outside: () => string[]) {
    this.engine = engine
    this.dir = dir
    this.#outside = outside
  }

  asked(): readonly string[] {
    return this.#outside().flatMap((line) => /^asked (.*)$/.exec(line)?.slice(1) ?? [])
  }

  compose(...args: readonly string[]): Promise<string> {
    return this.engine.compose(this.dir, '-p', PROJECT, ...args)
  }

  async id(service: string): Promise<string> {
    const filters = ['--filter', `label=com.docker.compose.service=${service}`]
    const [id = ''] = (await this.engine.client('ps', '-aq', ...filters)).trim().split('\n')
    if (id === '') throw new Error(`there is no container of ${service}`)
    return id
  }

  async pid(service: string): Promise<number> {
    const id = await this.id(service)
    return Number(await this.engine.client('inspect', '--format', '{{.State.Pid}}', id))
  }

  async address(container: string, network: string): Promise<string> {
    const format = `{{(index .NetworkSettings.Networks "${PROJECT}_${network}").IPAddress}}`
    return (await this.engine.client('inspect', '--format', format, container)).trim()
  }

  async inside(container: string, script: URL, argument: unknown = {}): Promise<unknown> {
    const text = await readFile(script, 'utf8')
    const node = ['/usr/bin/node', '--input-type=module', '-e', text, JSON.stringify(argument)]
    return JSON.parse(await this.engine.client('exec', container, ...node))
  }

  async ready(other = 0): Promise<{ readonly pid: number; readonly ms: number }> {
    const began = performance.now()
    const pid = await waitFor(
      'the gateway to be ready',
      async () => {
        const found = await this.pid('gateway').catch(() => 0)
        return found !== 0 && found !== other && (await isReady(found)) && found
      },
      HANG,
    )
    return { pid, ms: performance.now() - began }
  }

  async audit(): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const lines = (await this.engine.client('logs', await this.id('gateway'))).split('\n')
    return lines.flatMap((line) => (line.startsWith('{"time"') ? [JSON.parse(line)] : []))
  }

  async token(agent = 'bot-01'): Promise<string> {
    const id = await this.id('gateway')
    // in a container of its own: one that exec starts shares the memory of the gateway
    const beside = ['run', '--rm', '--network', 'none', '--volumes-from', id, REFERENCE]
    return (await this.engine.client(...beside, 'issue-token', '--agent-id', agent)).trim()
  }

  async shellEnv(): Promise<Readonly<Record<string, string | undefined>>> {
    const bin = join(this.dir, 'bin')
    await mkdir(bin, { recursive: true })
    const commands = {
      'mesh-gateway': `'${process.execPath}' '${join(ROOT, 'mesh-gateway/bin/mesh-gateway.cjs')}' "$@"`,
      'mesh-pki': `'${process.execPath}' '${join(ROOT, 'pki/bin/mesh-pki.cjs')}' "$@"`,
      // of Debian, which has no plugin of docker for it
      docker: `/usr/bin/docker-compose "$@"`,
    }
    for (const [name, command] of Object.entries(commands)) {
      const only =
        name === 'docker'
          ? 'if [ "$1" = compose ]; then shift; else exec /usr/bin/docker "$@"; fi\n'
          : ''
      await writeFile(join(bin, name), `#!/bin/sh\n${only}exec ${command}\n`, { mode: 0o755 })
    }
    return {
      ...this.engine.env,
      COMPOSE_PROJECT_NAME: PROJECT,
      MESH_PKI_PASSPHRASE: PASSPHRASE,
      PATH: `${bin}:${this.engine.env.PATH}`,
    }
  }

  async close(): Promise<void> {
    try {
      await this.compose('down', '-v', '--remove-orphans', '-t', '10')
    } finally {
      await this.engine.close()
      await rm(this.dir, { recursive: true, force: true })
    }
  }
}

/** Asked in the network of the container, since the admin port listens on its loopback. */
async function isReady(pid: number): Promise<boolean> {
  const ask = ['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', 'http://127.0.0.1:9090/ready']
  const { stdout } = await promisify(execFile)('nsenter', [
    '-t',
    String(pid),
    '--net',
    ...ask,
  ]).catch(() => ({ stdout: '' }))
  return stdout === '200'
}

export const PROBE = new URL('probe.mjs', import.meta.url)
export { REFERENCE }
