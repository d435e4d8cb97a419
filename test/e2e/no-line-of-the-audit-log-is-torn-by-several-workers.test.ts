/** Several workers write one audit log, under load and with long lines: each record is one whole line, whoever dies. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type IssuedWorkplace, makeIssuedWorkplace } from '../mesh-gateway/cli/issued-workplace.ts'
import { issueToken } from '../mesh-gateway/cli/run-here.ts'
import { childrenOf } from '../mesh-gateway/workers/several-workers.ts'
import { describeClosing } from '../support/closes-everything.ts'
import { closeServer, listenOnFreePort } from '../support/http-origin.ts'
import { waitFor } from '../support/wait-for.ts'

/** Longer than a pipe takes in one piece. */
const PATH_LENGTH = 9_000
const CLIENTS = 8
const EACH = 60

describeClosing('no line of the audit log is torn by several workers', function () {
  this.timeout(120_000)
  let place: IssuedWorkplace
  let origin: Server
  let upstream: string
  beforeEach(async () => {
    place = await makeIssuedWorkplace()
    origin = createServer((_request, response) => response.end('ok'))
    const port = await listenOnFreePort(origin)
    upstream = `127.0.0.1:${port}`
    // let through: what is refused again and again shares a record
    const write = (name: string, value: object) =>
      writeFile(join(place.dir, 'policy', name), JSON.stringify(value))
    await write('_global.json', { egress: { allowCidrs: ['127.0.0.0/8'], ports: [port] } })
    await write('acme.json', { tenant: 'acme', egress: { allow: [upstream] } })
  })
  afterEach(async () => {
    await closeServer(origin)
    await place.close()
  })

  const start = async (audit: string) => {
    const { child, said } = await place.start('--workers', '2', '--audit-file', audit)
    // with all that it has written
    const ended = once(child, 'close')
    const egress = said('egress').replace('http://', '')
    return { child, egress, ended, workers: await childrenOf(child.pid) }
  }
  /** Returns how many answers came. */
  const load = async (egress: string, token: string): Promise<number> => {
    const [host = '', port = ''] = egress.split(':')
    const client = async (number: number) => {
      let answered = 0
      const socket = connect(Number(port), host)
      socket.on('error', () => {})
      for (let i = 0; i < EACH; i += 1) {
        const path = `/${number}-${i}-`.padEnd(PATH_LENGTH, 'x')
        socket.write(
          `GET http://${upstream}${path} HTTP/1.1\r\nhost: ${upstream}\r\nproxy-authorization: Bearer ${token}\r\n\r\n`,
        )
        if (!(await answer(socket))) break
        answered += 1
      }
      socket.destroy()
      return answered
    }
    const all = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(i)))
    return all.reduce((sum, one) => sum + one, 0)
  }
  const idsOf = (text: string) => {
    assert.ok(text.endsWith('\n'))
    const records = text
      .slice(0, -1)
      .split('\n')
      .map((line) => JSON.parse(line))
    for (const { path } of records) assert.equal(path.length, PATH_LENGTH)
    return new Set(records.map(({ path }) => /^\/\d+-\d+-/.exec(path)?.[0]))
  }

  it('on stdout, that somebody reads slowly', async () => {
    const { child, egress, ended } = await start('stdout')
    let stdout = ''
    const { stdout: out } = child
    assert.ok(out !== null)
    const reading = (async () => {
      for await (const chunk of out) {
        stdout += chunk
        await delay(1)
      }
    })()
    const answered = await load(egress, await issueToken(place.dir, 'bot'))
    assert.equal(answered, CLIENTS * EACH)
    child.kill('SIGTERM')
    await Promise.all([ended, reading])
    assert.equal(idsOf(stdout).size, answered)
  })

  it('on stdout, when a worker is killed in the middle: what it had written arrives', async () => {
    const { child, egress, ended, workers } = await start('stdout')
    let stdout = ''
    child.stdout?.on('data', (chunk) => {
      stdout += chunk
      if (stdout.length > 1_000_000 && workers.length > 1)
        process.kill(workers.pop() ?? 0, 'SIGKILL')
    })
    const answered = await load(egress, await issueToken(place.dir, 'bot'))
    assert.ok(answered < CLIENTS * EACH, 'a worker was killed')
    child.kill('SIGTERM')
    await ended
    idsOf(stdout)
  })

  it('in a file', async () => {
    const file = join(place.dir, 'audit.log')
    const { child, egress, ended } = await start(file)
    const answered = await load(egress, await issueToken(place.dir, 'bot'))
    assert.equal(answered, CLIENTS * EACH)
    child.kill('SIGTERM')
    await ended
    assert.equal(idsOf(await readFile(file, 'utf8')).size, answered)
  })

  it('a reader of stdout that has gone is said once, /ready tells it, and the gateway goes on', async () => {
    const { child, egress, ended } = await start('stdout')
    child.stdout?.destroy()
    const token = await issueToken(place.dir, 'bot')
    const [host = '', port = ''] = egress.split(':')
    await waitFor('the gateway to notice', async () => {
      await load(egress, token)
      const answer = await fetch(`http://${host}:${port}/ready`)
      return answer.status === 503
    })
    child.kill('SIGTERM')
    const [code] = await ended
    assert.equal(code, 0)
  })
})

/** False when the connection ended instead. */
function answer(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    let text = ''
    const read = (chunk: Buffer) => {
      text += chunk
      const head = /^[\s\S]*?content-length: (\d+)[\s\S]*?\r\n\r\n/i.exec(text)
      if (head !== null && text.length >= head[0].length + Number(head[1])) end(true)
    }
    const end = (came: boolean) => {
      socket.off('data', read)
      socket.off('close', gone)
      resolve(came)
    }
    const gone = () => end(false)
    socket.on('data', read)
    socket.once('close', gone)
  })
}
