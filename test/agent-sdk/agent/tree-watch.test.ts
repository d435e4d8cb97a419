/** Which revoked trees an agent hears of: over streams that break, and without a stream where nothing lasts. */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { MeshError } from '@clawmesh/proto'
import { status } from '@grpc/grpc-js'
import { createTreeWatch, type TreeWatchOptions } from '../../../agent-sdk/src/agent/tree-watch.ts'
import { silentLog } from '../../../agent-sdk/src/log.ts'
import { waitFor } from '../../support/wait-for.ts'

/** As much of a stream of grpc-js as is used of it. */
class Stream extends EventEmitter {
  readonly written: string[] = []
  ended = false
  write({ key, delegation_token: token }: { key: number; delegation_token: string }): boolean {
    this.written.push(`${key} ${token}`)
    this.emit('written')
    return true
  }
  end(): void {
    this.ended = true
    this.emit('status', { code: status.OK })
  }
}

describe('following the trees of tasks', () => {
  const streams: Stream[] = []
  const renewals = new Set<() => void>()
  const make = () => {
    const connection = {
      duplex() {
        const stream = new Stream()
        streams.push(stream)
        return stream
      },
    } as unknown as TreeWatchOptions['connection']
    const store = {
      onChange(listener: () => void) {
        renewals.add(listener)
        return () => {
          renewals.delete(listener)
        }
      },
    } as unknown as TreeWatchOptions['store']
    return createTreeWatch({ connection, gatewayName: 'gateway', store, log: silentLog })
  }
  beforeEach(() => {
    streams.length = 0
    renewals.clear()
  })
  const opened = (count: number) => waitFor(`${count} streams`, () => streams[count - 1])
  const ignore = () => {}

  it('tells the gateway of tasks that last, and of their end', async () => {
    const watch = make()
    watch.follow('short', ignore)()
    const end = watch.follow('long', ignore)
    const stream = await opened(1)
    end()
    assert.deepEqual(stream.written, ['2 long', '2 '])
    watch.close()
    assert.ok(stream.ended)
  })

  it('opens no stream for tasks that have ended by then', async () => {
    const watch = make()
    watch.follow('short', ignore)()
    const other = make()
    other.follow('long', ignore)
    // both began in the same turn, so the first had its time as well
    await opened(1)
    assert.equal(streams.length, 1)
    watch.close()
    other.close()
  })

  it('hears once of a tree that is revoked', async () => {
    const watch = make()
    const heard: MeshError[] = []
    watch.follow('one', (error) => heard.push(error))
    watch.follow('two', ignore)
    const stream = await opened(1)
    for (let times = 0; times < 2; times += 1)
      stream.emit('data', { key: 1, code: 'MESH_CHAIN_REVOKED', message: 'revoked' })
    stream.emit('data', { key: 99, code: 'MESH_CHAIN_REVOKED', message: 'of nothing' })
    assert.deepEqual(
      heard.map(({ code, message }) => `${code} ${message}`),
      ['MESH_CHAIN_REVOKED revoked'],
    )
    watch.close()
  })

  it('opens another stream when one breaks, and says everything again', async () => {
    const watch = make()
    watch.follow('one', ignore)
    const first = await opened(1)
    const second = opened(2)
    first.emit('status', { code: status.UNAVAILABLE })
    assert.deepEqual((await second).written, ['1 one'])
    watch.close()
  })

  it('goes on by a renewed certificate, and lets the stream by the old one end well', async () => {
    const watch = make()
    watch.follow('one', ignore)
    const first = await opened(1)
    for (const renewed of renewals) renewed()
    assert.ok(first.ended)
    assert.deepEqual((await opened(2)).written, ['1 one'])
    watch.close()
    assert.equal(renewals.size, 0)
  })

  it('leaves a gateway alone that does not know the service', async () => {
    const watch = make()
    watch.follow('one', ignore)
    const first = await opened(1)
    first.emit('status', { code: status.UNIMPLEMENTED })
    watch.follow('two', ignore)
    const other = make()
    other.follow('three', ignore)
    await opened(2)
    assert.deepEqual(streams[1]?.written, ['1 three'], 'it is of the other one')
    watch.close()
    other.close()
  })
})
