import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { waitFor } from '../../support/wait-for.ts'

describe('workers that are full', () => {
  it('close what they cannot take, and do not hand it round', async () => {
    const child = fork(fileURLToPath(new URL('full-workers.ts', import.meta.url)))
    const ended = once(child, 'exit')
    const [port] = await once(child, 'message')
    const sockets = Array.from({ length: 7 }, () => connect(Number(port), '127.0.0.1'))
    let inside = 0
    let closed = 0
    for (const socket of sockets) {
      socket.on('error', () => {})
      socket.once('data', () => (inside += 1))
      socket.once('close', () => (closed += 1))
    }
    try {
      await waitFor('the end of those who have no room', () => inside + closed === 7)
      // who is first at which worker is chance; that none has more than two is not
      assert.ok(inside >= 2 && inside <= 4, `${inside} are inside`)
    } finally {
      for (const socket of sockets) socket.destroy()
      child.disconnect()
      await ended
    }
  })
})
