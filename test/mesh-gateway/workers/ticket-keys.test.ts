import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { writeIdentity } from '@clawmesh/pki'
import { makeTicketKeys } from '../../../mesh-gateway/src/workers/ticket-keys.ts'
import { makeTestCa } from '../../support/test-ca.ts'
import { waitFor } from '../../support/wait-for.ts'
import { makeWorkplace, type Workplace } from '../cli/gateway-command.ts'

const SUPERVISOR = fileURLToPath(new URL('rotating-supervisor.ts', import.meta.url))

describe('ticket keys', () => {
  it('are new after their time, for whoever listens, until they are closed', async () => {
    const keys = makeTicketKeys(1)
    const seen = [keys.current().reveal()]
    for (let i = 0; i < 2; i += 1) {
      await new Promise<void>((resolve) => {
        const stop = keys.onChange(() => {
          stop()
          resolve()
        })
      })
      seen.push(keys.current().reveal())
    }
    keys.close()
    const last = keys.current()
    // as long again by a clock of the same kind
    const clock = makeTicketKeys(1)
    let told = 0
    await new Promise<void>((resolve) => {
      clock.onChange(() => {
        told += 1
        if (told === 3) resolve()
      })
    })
    clock.close()
    assert.equal(keys.current(), last)
    assert.equal(new Set(seen.map((key) => key.toString('hex'))).size, 3)
    assert.deepEqual(
      seen.map((key) => key.length),
      [48, 48, 48],
    )
  })
})

describe('when ticket keys are new, in a supervisor that runs', function () {
  this.timeout(120_000)
  let place: Workplace
  let child: ChildProcess
  let port: number
  let roots: string
  beforeEach(async () => {
    place = await makeWorkplace()
    const ca = await makeTestCa()
    const issued = () => ca.ca.issueGateway({ name: 'gw', tenants: ['acme'] })
    await writeIdentity(join(place.dir, 'identity'), issued())
    await writeIdentity(join(place.dir, 'tls'), issued())
    await ca.close()
    roots = await readFile(join(place.dir, 'tls', 'ca.crt'), 'utf8')
    const file = join(place.dir, 'gateway.json')
    const config = JSON.parse(await readFile(file, 'utf8'))
    const tls = { dir: join(place.dir, 'tls') }
    const log = { level: 'warn' }
    await place.write('gateway.json', { ...config, log, egress: { ...config.egress, tls } })
    child = fork(SUPERVISOR, [file])
    const [told] = await once(child, 'message')
    port = Number(told)
  })
  afterEach(async () => {
    const ended = once(child, 'exit')
    child.disconnect()
    await ended
    await place.close()
  })

  /** Whether the session was taken up again, and the one to go on with. */
  const ask = async (session?: Buffer) => {
    const socket = connect({
      ...{ host: '127.0.0.1', port, ca: roots, servername: 'gateway.mesh.internal' },
      ...(session === undefined ? {} : { session }),
    })
    let next = session
    socket.on('session', (ticket) => {
      next = ticket
    })
    await once(socket, 'secureConnect')
    socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await once(socket, 'data')
    const resumed = socket.isSessionReused()
    socket.destroy()
    return { resumed, next }
  }
  /** One connection after another goes to one worker after another. */
  const everywhere = async (session: Buffer | undefined) => {
    const asked = []
    for (let i = 0; i < 4; i += 1) asked.push((await ask(session)).resumed)
    return asked
  }

  it('no worker takes up a session of before, and each takes up those of every other', async () => {
    const before = (await ask()).next
    assert.deepEqual(await everywhere(before), [true, true, true, true])
    child.send('rotate')
    await waitFor('all workers to forget', async () => !(await everywhere(before)).includes(true))
    const after = (await ask()).next
    assert.deepEqual(await everywhere(after), [true, true, true, true])
  })
})
