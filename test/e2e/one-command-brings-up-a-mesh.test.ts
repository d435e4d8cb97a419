import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describeClosing } from '../support/closes-everything.ts'
import { needGrpcurl, run } from '../support/grpcurl.ts'
import { waitFor } from '../support/wait-for.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

interface Started {
  readonly child: ChildProcess
  /** What was printed so far. */
  transcript(): string
  errors(): string
  ended(): Promise<number | null>
}

function start(dir: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Started {
  const child = spawn(
    process.execPath,
    [join(root, 'scripts/start.ts'), '--port-base', '0', '--dir', dir, ...args],
    { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const printed = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    printed.stderr += text
  })
  const closed = once(child, 'close')
  return {
    child,
    transcript: () => printed.stdout,
    errors: () => printed.stderr,
    ended: async () => {
      await closed
      return child.exitCode
    },
  }
}

/** Every port that the transcript names. */
function portsOf(transcript: string): number[] {
  return [
    ...new Set([...transcript.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port))),
  ]
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

const allClosed = async (ports: readonly number[]) =>
  !(await Promise.all(ports.map(isOpen))).includes(true)

describeClosing('one command brings up a mesh', function () {
  this.timeout(120_000)
  let dir: string
  const running: Started[] = []
  const begin = (args: readonly string[], env?: NodeJS.ProcessEnv) => {
    const started = start(join(dir, 'mesh'), args, env)
    running.push(started)
    return started
  }

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-start-'))
  })
  after(async () => {
    for (const { child, ended } of running) {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      await ended()
    }
    await rm(dir, { recursive: true, force: true })
  })

  describe('by default', () => {
    let mesh: Started
    before(async () => {
      mesh = begin([])
      await waitFor(
        'the end of the story',
        () => mesh.child.exitCode !== null || mesh.transcript().includes('until Ctrl-C'),
        { withinMs: 60_000 },
      )
      assert.equal(mesh.child.exitCode, null, mesh.transcript() + mesh.errors())
    })

    it('says what runs where, and what it did', () => {
      const said = mesh.transcript()
      for (const part of [
        /^Clawmesh is up$/m,
        /gateway +127\.0\.0\.1:\d+ +delegation/,
        /researcher +127\.0\.0\.1:\d+ +researcher\.acme\.mesh\.internal/,
        /documents +127\.0\.0\.1:\d+ +README\.md/,
        /planner → gateway → researcher/,
        /^ +\d+% {2}\S/m,
        /100% {2}read/,
        /done in \d+ ms/,
        /title +Clawmesh/,
        /words +\d{2,}/,
        /terms +\w+ \d+, \w+ \d+/,
        /headings +Clawmesh\n +Try it/,
        /links +http/,
        /refused +MESH_POLICY_NOT_ALLOWED\n +no rule of policy allows it\n +hint: /,
        /"grpc_method":"clawmesh\.delegation\.v1\.DelegationService\/Delegate"/,
        /"destination_host":"pastebin\.example\.net"/,
      ])
        assert.match(said, part)
      assert.equal(mesh.errors(), '')
    })

    it('fits a terminal of 80 columns', () => {
      const wide = mesh
        .transcript()
        .split('\n')
        .filter((line) => [...line].length > 80 && /\S\s+\S/.test(line.replace(/\s\\$/, '')))
      assert.deepEqual(wide, [])
    })

    it('uses no colours where nobody sees them', () =>
      assert.ok(!mesh.transcript().includes('\x1b')))

    it('keeps what is secret to its owner', async () => {
      for (const file of ['passphrase', 'planner/tls.key', 'gateway/tls.key'])
        assert.equal((await stat(join(dir, 'mesh', file))).mode & 0o077, 0, file)
      assert.doesNotMatch(mesh.transcript(), /eyJ[\w-]{20}/, 'no token is printed')
    })

    it('listens on loopback only', async () => {
      const config = JSON.parse(await readFile(join(dir, 'mesh/gateway.json'), 'utf8'))
      for (const port of ['egress', 'delegation', 'admin'])
        assert.match(config[port].listen, /^127\.0\.0\.1:\d+$/)
      const { stdout } = await run('ss', ['-ltnH'])
      const ports = portsOf(mesh.transcript())
      // where there is no ss, the configuration has to do
      for (const line of stdout.split('\n')) {
        const [, address, port] = /\s(\S+):(\d+)\s/.exec(line) ?? []
        if (ports.includes(Number(port))) assert.equal(address, '127.0.0.1', line)
      }
    })

    it('prints grpcurl and curl lines that work as they are', async function () {
      needGrpcurl(this)
      const said = mesh.transcript().split('Paste these, from this directory\n')[1] ?? ''
      const commands = said.split(/^# .*$/m).map((text) => text.trim())
      const [, list = '', again = '', who = '', fetch = ''] = commands
      const paste = async (command: string) => {
        const { code, stdout, stderr } = await run('bash', ['-c', command.split('\n\n')[0] ?? ''], {
          cwd: root,
        })
        assert.equal(code, 0, `${command}\n${stderr}`)
        return stdout
      }
      assert.match(await paste(list), /^clawmesh\.delegation\.v1\.DelegationService$/m)
      assert.match(await paste(again), /"result"/)
      assert.match(await paste(who), /agent\/planner/)
      assert.equal(await paste(fetch), await readFile(join(root, 'README.md'), 'utf8'))
    })

    it('makes the lines of the README true', async function () {
      needGrpcurl(this)
      const said = mesh.transcript()
      const port = (what: string) =>
        new RegExp(`127\\.0\\.0\\.1:(\\d+) +${what}`).exec(said)?.[1] ?? ''
      const readme = await readFile(join(root, 'README.md'), 'utf8')
      const blocks = [...readme.matchAll(/^```sh\n([\s\S]*?)^```$/gm)]
        .flatMap(([, block = '']) => block.split('\n\n'))
        .filter((command) => /grpcurl|curl/.test(command))
      assert.equal(blocks.length, 4)
      for (const block of blocks) {
        const command = block
          .replaceAll('.clawmesh', relative(root, join(dir, 'mesh')))
          .replaceAll('8443', port('delegation'))
          .replaceAll('8080', port('egress'))
          .replaceAll('7480', port('README'))
        const { code, stdout, stderr } = await run('bash', ['-c', command], { cwd: root })
        assert.equal(code, 0, `${command}\n${stdout}${stderr}`)
        assert.match(stdout, /DelegationService|SERVING|agent\/planner|# Clawmesh/)
      }
    })

    it('ends in order when it is interrupted, and leaves nothing behind', async () => {
      const ports = portsOf(mesh.transcript())
      assert.ok(ports.length >= 6)
      mesh.child.kill('SIGINT')
      assert.equal(await mesh.ended(), 0, mesh.errors())
      assert.match(mesh.transcript(), /Ending: planner, gateway, researcher/)
      assert.ok(await allClosed(ports))
    })
  })

  describe('with a file', () => {
    it('keeps its CA between starts, and reads the file that it is given', async () => {
      const ca = join(dir, 'mesh/ca/root.crt')
      const before = await readFile(ca, 'utf8')
      const file = join(dir, 'a page.html')
      await writeFile(file, '<title>Fish &amp; chips</title><h1>Menu</h1><p>fish fish chips</p>')
      const mesh = begin(['--once', file])
      assert.equal(await mesh.ended(), 0, mesh.transcript() + mesh.errors())
      assert.match(mesh.transcript(), /title +Fish & chips/)
      assert.match(mesh.transcript(), /terms +fish 2, chips 1, menu 1/)
      assert.equal(await readFile(ca, 'utf8'), before)
    })

    it('says why a document cannot be read, in one line', async () => {
      const file = join(dir, 'picture.png')
      await writeFile(file, Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0, 0]))
      const mesh = begin(['--once', file])
      assert.equal(await mesh.ended(), 1)
      assert.match(
        mesh.transcript(),
        /refused +MESH_TASK_REJECTED\n +the document cannot be read: it is binary/,
      )
    })
  })

  describe('with a URL', () => {
    let server: Server
    let port: number
    before(async () => {
      server = createServer((_, response) => {
        response.setHeader('content-type', 'text/html')
        response.end('<title>Elsewhere</title><a href="/more">more</a>')
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const bound = server.address()
      port = bound !== null && typeof bound === 'object' ? bound.port : 0
    })
    after(async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    })

    it('reads it, and may read nothing else', async () => {
      const mesh = begin(['--once', `http://127.0.0.1:${port}/page#part`])
      assert.equal(await mesh.ended(), 0, mesh.transcript() + mesh.errors())
      assert.match(mesh.transcript(), /title +Elsewhere/)
      assert.match(mesh.transcript(), new RegExp(`links +http://127\\.0\\.0\\.1:${port}/more`))
      const policy = JSON.parse(await readFile(join(dir, 'mesh/policy/acme.json'), 'utf8'))
      assert.ok(policy.egress.allow.includes(`127.0.0.1:${port}`))
    })
  })

  describe('when things go wrong', () => {
    it('leaves no process behind when it is killed', async () => {
      const mesh = begin([])
      await waitFor('the story', () => mesh.transcript().includes('until Ctrl-C'), {
        withinMs: 60_000,
      })
      const ports = portsOf(mesh.transcript())
      const pids: number[] = Object.values(
        JSON.parse(await readFile(join(dir, 'mesh/processes.json'), 'utf8')),
      )
      assert.equal(pids.length, 5)
      mesh.child.kill('SIGKILL')
      await mesh.ended()
      await waitFor('every process to end', () => pids.every((pid) => !isRunning(pid)))
      assert.ok(await allClosed(ports))
    })

    it('tells which process died, with its last lines, and ends the others', async () => {
      const mesh = begin([])
      await waitFor('the story', () => mesh.transcript().includes('until Ctrl-C'), {
        withinMs: 60_000,
      })
      const pids: Record<string, number> = JSON.parse(
        await readFile(join(dir, 'mesh/processes.json'), 'utf8'),
      )
      process.kill(pids.gateway ?? 0, 'SIGKILL')
      assert.equal(await mesh.ended(), 1)
      assert.match(mesh.errors(), /^start: gateway was ended by SIGKILL/m)
      assert.ok(Object.values(pids).every((pid) => !isRunning(pid)))
    })

    it('says which port is taken, and what changes it', async () => {
      const server = createServer()
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const bound = server.address()
      const port = bound !== null && typeof bound === 'object' ? bound.port : 0
      const taken = begin(['--port-base', String(port)])
      assert.equal(await taken.ended(), 1)
      assert.match(
        taken.errors(),
        new RegExp(
          `^start: ports? ${port} \\(egress\\).* cannot be had: taken, or not allowed\\nstart: hint: end what uses them, .*npm start -- --port-base`,
        ),
      )
      server.close()
      await once(server, 'close')
    })
  })
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    // no such process
    return false
  }
}
