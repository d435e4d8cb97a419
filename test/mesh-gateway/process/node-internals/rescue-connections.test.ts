/** Connections that were handed to a worker which dies: what the supervisor's node:cluster hears in its place. */
import assert from 'node:assert/strict'
import type { Worker } from 'node:cluster'
import { EventEmitter } from 'node:events'
import { rescueConnections } from '../../../../mesh-gateway/src/process/node-internals/rescue-connections.ts'
import { needNodePatches } from '../need-node-patches.ts'

/** A worker as node:cluster makes one, without a process. */
function fork(more: object = {}) {
  const child = new EventEmitter()
  const sent: unknown[] = []
  const heard: unknown[] = []
  const send = (message: unknown) => sent.push(message) > 0
  const disconnect = () => {}
  Object.assign(child, { send, disconnect, ...more })
  child.on('internalMessage', (message) => heard.push(message))
  const worker = Object.assign(new EventEmitter(), { process: child })
  return { worker: worker as unknown as Worker, child, sent, heard, send, disconnect }
}

const connection = (seq: number) => ({ act: 'newconn', seq, key: 'port' })
const turn = () => new Promise(setImmediate)

describe('connections of a worker that dies', () => {
  before(function () {
    needNodePatches(this)
  })

  for (const others of [true, false])
    it(`are ${others ? 'given to another worker' : 'closed when there is no other'}, those that it had not taken`, async () => {
      const { worker, sent, heard } = fork()
      assert.equal(
        rescueConnections(worker, () => others),
        true,
      )
      for (const seq of [1, 2, 3]) worker.process.send?.(connection(seq))
      worker.process.send?.({ act: 'other', seq: 4 })
      assert.equal(sent.length, 4, 'all are sent on')
      worker.process.emit('internalMessage', { ack: 2, accepted: true }, undefined)
      worker.emit('disconnect')
      assert.deepEqual(
        heard.slice(1),
        [1, 3].map((ack) => ({ cmd: 'NODE_CLUSTER', ack, accepted: !others })),
      )
    })

  it('are told of its end once, whether Node says it or not', async () => {
    for (const says of [true, false]) {
      const { worker, child } = fork({
        disconnect: () => {
          if (says) child.emit('disconnect')
        },
      })
      let ends = 0
      child.on('disconnect', () => {
        ends += 1
      })
      rescueConnections(worker, () => true)
      worker.process.disconnect()
      await turn()
      assert.equal(ends, 1)
    }
  })

  it('leaves a worker alone that does not look as in Node 24', () => {
    const deaf = fork()
    deaf.child.removeAllListeners('internalMessage')
    for (const { worker, child, send, disconnect } of [deaf, fork({ send: undefined })]) {
      const before = { ...child }
      assert.equal(
        rescueConnections(worker, () => true),
        false,
      )
      assert.deepEqual({ ...child }, before)
      assert.equal(Reflect.get(child, 'disconnect'), disconnect)
      assert.ok([send, undefined].includes(Reflect.get(child, 'send')))
      assert.equal(worker.listenerCount('disconnect'), 0)
    }
  })
})
