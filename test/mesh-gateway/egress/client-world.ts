/** What unmodified clients are tried against: an https and a plain destination, and a port that lets one agent reach both. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import type { Server } from 'node:https'
import { delimiter, join } from 'node:path'
import { makeTestCa } from '../../support/test-ca.ts'
import { waitFor } from '../../support/wait-for.ts'
import type { Fixture } from './fixture.ts'
import type { Setup } from './setup.ts'

export const HOST = 'planner.acme.mesh.internal'

export interface ClientWorld {
  /** For files; gone afterwards. */
  readonly dir: string
  /** PEM. */
  readonly roots: string
  readonly rootsFile: string
  /** Of the destination, PEM. */
  readonly certificate: string
  readonly egress: Fixture
  readonly token: string
  /** The https destination. */
  readonly server: Server
  /** Ports of the destinations. */
  readonly secure: number
  readonly plain: number
  /** Proxy URLs with and without the credential. */
  withUser(): string
  bare(): string
  close(): Promise<void>
}

export interface Run {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A command with an environment of its own: nothing of ours decides where it goes. */
export function run(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
  timeout = 15_000,
): Promise<Run> {
  const path = [process.env.PATH ?? '', '/usr/local/go/bin'].join(delimiter)
  return new Promise((resolve) => {
    const options = { env: { PATH: path, ...env }, timeout }
    execFile(command, [...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ code, stdout, stderr: `${stderr}${error?.code === 'ENOENT' ? 'ENOENT' : ''}` })
    })
  })
}

/** Without the tool a test is left out, and says so; in CI it must be there. */
export function leaveOut(test: Mocha.Context, tool: string): never {
  assert.notEqual(process.env.CI, 'true', `${tool} is missing; .ci/run installs it`)
  process.stderr.write(`left out: ${tool} is not on this machine\n`)
  test.skip()
}

/** After each test that passed: the names of its destinations are known to the port alone. */
export function insistOnThePort(world: () => ClientWorld): void {
  let told = 0
  beforeEach(() => {
    told = world().egress.records.length
  })
  afterEach('it went through the port, and nowhere else', async function () {
    if (this.currentTest?.isPassed() !== true) return
    // some ask without a credential first
    await waitFor('a record of the client', () =>
      world()
        .egress.records.slice(told)
        .some(({ agent_id }) => agent_id === 'bot-01'),
    )
  })
}

export async function clientWorld(setup: Setup, serve: RequestListener): Promise<ClientWorld> {
  const ca = await makeTestCa()
  const { server, port: secure, certificate, roots } = await setup.https(serve, ca)
  const rootsFile = join(ca.dir, 'roots.pem')
  await writeFile(rootsFile, roots)
  const { port: plain } = await setup.http((request, response) => response.end(request.url))
  const destinations = [`${HOST}:${secure}`, `${HOST}:${plain}`]
  const egress = await setup.egress(plain, {
    names: { [HOST]: ['127.0.0.1'] },
    egress: { allow: destinations },
    global: { ports: [443, secure, plain] },
    ca: roots,
  })
  const token = await egress.token({ destinations })
  return {
    dir: ca.dir,
    roots,
    rootsFile,
    certificate,
    egress,
    token,
    server,
    secure,
    plain,
    withUser: () => `http://bot-01:${token}@127.0.0.1:${egress.number}`,
    bare: () => `http://127.0.0.1:${egress.number}`,
    async close() {
      await setup.close()
      await ca.close()
    },
  }
}
