/** Connections that are being made: shared by the calls that wait, given up when none does. */
import assert from 'node:assert/strict'
import {
  createDialling,
  type DiallingOptions,
} from '../../../../mesh-gateway/src/delegation/upstream/dialling.ts'
import { createDials } from '../../../../mesh-gateway/src/delegation/upstream/dials.ts'

const ONE = { ip: '10.0.0.1', port: 1, priority: 0 }
const OTHER = { ip: '10.0.0.2', port: 1, priority: 0 }

describe('connections that are being made', () => {
  const start = () => {
    const opened: {
      readonly ip: string
      readonly attempt: Parameters<DiallingOptions['open']>[1]
      readonly done: PromiseWithResolvers<void>
    }[] = []
    const dialling = createDialling({
      dials: createDials(),
      open(endpoint, attempt) {
        const done = Promise.withResolvers<void>()
        opened.push({ ip: endpoint.ip, attempt, done })
        return done.promise
      },
    })
    const waiter = () => {
      const controller = new AbortController()
      const progress: string[] = []
      const progressed = () => void progress.push('connected')
      return { controller, progress, signal: controller.signal, progressed }
    }
    return { dialling, opened, waiter }
  }

  it('are one for each address, however many wait for it, and a new one when that has ended', async () => {
    const { dialling, opened, waiter } = start()
    const waits = [
      dialling.to(ONE, waiter()),
      dialling.to(ONE, waiter()),
      dialling.to(OTHER, waiter()),
    ]
    assert.deepEqual(
      opened.map(({ ip }) => ip),
      [ONE.ip, OTHER.ip],
    )
    assert.equal(dialling.size, 2)
    for (const { done } of opened) done.resolve()
    await Promise.all(waits)
    assert.equal(dialling.size, 0)
    const failing = dialling.to(ONE, waiter())
    assert.equal(opened.length, 3)
    opened[2]?.done.reject(new Error('refused'))
    await assert.rejects(failing, /refused/)
    assert.equal(dialling.size, 0)
  })

  it('tell all that wait when TCP stands, those too that come later', async () => {
    const { dialling, opened, waiter } = start()
    const [first, second] = [waiter(), waiter()]
    const waits = [dialling.to(ONE, first)]
    assert.deepEqual(first.progress, [])
    opened[0]?.attempt.progressed()
    waits.push(dialling.to(ONE, second))
    assert.deepEqual([first.progress, second.progress], [['connected'], ['connected']])
    opened[0]?.done.resolve()
    await Promise.all(waits)
  })

  it('are given up when the last call waits no more, and the next call begins anew', async () => {
    const { dialling, opened, waiter } = start()
    const [first, second, third] = [waiter(), waiter(), waiter()]
    const waits = [dialling.to(ONE, first), dialling.to(ONE, second)]
    first.controller.abort()
    assert.equal(opened[0]?.attempt.signal.aborted, false)
    assert.equal(dialling.size, 1)
    second.controller.abort()
    assert.equal(opened[0]?.attempt.signal.aborted, true)
    assert.equal(dialling.size, 0)
    const again = dialling.to(ONE, third)
    assert.equal(opened.length, 2)
    // the end of the first one is not that of the second
    opened[0]?.done.resolve()
    await Promise.all(waits)
    assert.equal(dialling.size, 1)
    opened[1]?.done.resolve()
    await again
  })

  it('are given up when the gateway is closed, and none is begun after that', async () => {
    const { dialling, opened, waiter } = start()
    const waits = [dialling.to(ONE, waiter()), dialling.to(OTHER, waiter())]
    dialling.close()
    assert.deepEqual(
      opened.map(({ attempt }) => attempt.signal.aborted),
      [true, true],
    )
    for (const { done } of opened) done.reject(new Error('given up'))
    for (const wait of waits) await assert.rejects(wait, /given up/)
    await assert.rejects(dialling.to(ONE, waiter()), { code: 'MESH_GATEWAY_DRAINING' })
    assert.equal(opened.length, 2)
  })

  it('are not begun for a call that has gone, and not given up by one that goes after they stand', async () => {
    const { dialling, opened, waiter } = start()
    const gone = waiter()
    gone.controller.abort()
    await assert.rejects(dialling.to(ONE, gone), { code: 'MESH_PEER_UNREACHABLE' })
    assert.equal(opened.length, 0)
    const stays = waiter()
    const wait = dialling.to(ONE, stays)
    opened[0]?.done.resolve()
    await wait
    stays.controller.abort()
    assert.equal(opened[0]?.attempt.signal.aborted, false)
  })
})
